import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { temporaryDataDir } from '../../test/support/data-dir.js';
import { readSettings } from '../config/settings.js';
import { developmentToken } from './access.js';

const SECRET = 'a project secret of 32 characters and more';
const URL = 'https://p.supabase.co/';

describe('a token for development', () => {
  let dataDir: ReturnType<typeof temporaryDataDir>;
  beforeEach(() => {
    dataDir = temporaryDataDir();
  });
  afterEach(() => dataDir.remove());
  async function claimsWith(env: Record<string, string>): Promise<unknown> {
    const token = await developmentToken(readSettings({ EUGLENA_DATA_DIR: dataDir.path, ...env }));
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  }

  it('comes from this host, or from the project whose secret this host has', async () => {
    expect(await claimsWith({})).toMatchObject({ iss: 'euglena-local' });
    const claims = await claimsWith({ SUPABASE_JWT_SECRET: SECRET, SUPABASE_URL: URL });
    // The project does not know the user, so the token itself says that the address is confirmed.
    expect(claims).toMatchObject({ iss: 'https://p.supabase.co/auth/v1', email_confirmed: true });
  });

  it('cannot be signed where only the project itself can', async () => {
    await expect(claimsWith({ SUPABASE_URL: URL })).rejects.toThrow('--token or EUGLENA_TOKEN');
  });
});
