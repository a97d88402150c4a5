/** Writes openapi.json: the document that a gateway of this build (`dist/`) serves. `npm run openapi` runs it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSettings } from '../dist/config/settings.js';
import { startRole } from '../dist/boot/start-role.js';

const folder = mkdtempSync(join(tmpdir(), 'euglena-openapi-'));
const settings = { EUGLENA_ROLE: 'gateway', EUGLENA_DATA_DIR: folder, LOG_LEVEL: 'silent', PORT: '0' };
const gateway = await startRole(readSettings({ ...settings, HOST: '127.0.0.1' }));
try {
  const document = await (await globalThis.fetch(`${gateway.url}/openapi.json`)).json();
  writeFileSync(join(import.meta.dirname, '../openapi.json'), `${JSON.stringify(document, null, 2)}\n`);
} finally {
  await gateway.close();
  rmSync(folder, { recursive: true, force: true });
}
