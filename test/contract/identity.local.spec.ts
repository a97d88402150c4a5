import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { decodeJwt, SignJWT } from 'jose';
import ts from 'typescript';
import { issueLocalToken, LOCAL_ISSUER, localSecret } from '../../src/ports/identity/local-secret.js';
import { TokenIdentity } from '../../src/ports/identity/token-identity.js';
import { SecretKeys } from '../../src/ports/identity/token-keys.js';
import { temporaryDataDir } from '../support/data-dir.js';
import { ManualClock } from '../support/manual-clock.js';
import { identityContract, type IdentityHarness, USER } from './identity.contract.js';

Logger.overrideLogger(false);

const UNUSABLE = { name: 'EuglenaError', code: 'engine_unavailable' };
const identityOf = (secret: Uint8Array, clock: ManualClock) =>
  new TokenIdentity({ keys: new SecretKeys(secret), issuer: LOCAL_ISSUER, clock });

async function open(): Promise<IdentityHarness> {
  const dataDir = temporaryDataDir();
  const other = temporaryDataDir();
  const clock = new ManualClock();
  const identity = identityOf(localSecret(dataDir.path), clock);
  const user = { subject: USER, ttlSeconds: 3_600, clock };
  return {
    identity,
    issue: async (changes = {}) => {
      const claims = decodeJwt(await issueLocalToken({ ...user, dataDir: dataDir.path }));
      return new SignJWT({ ...claims, ...changes })
        .setProtectedHeader({ alg: 'HS256' })
        .sign(localSecret(dataDir.path));
    },
    forge: () => issueLocalToken({ ...user, dataDir: other.path }),
    now: () => clock.now(),
    elapse: async (ms) => clock.advance(ms),
    close: async () => {
      await identity.close();
      dataDir.remove();
      other.remove();
    },
  };
}

identityContract("this host's own secret", open);

describe('the local secret', () => {
  let dataDir: ReturnType<typeof temporaryDataDir>;
  beforeEach(() => {
    dataDir = temporaryDataDir();
  });
  afterEach(() => dataDir.remove());
  const file = () => join(dataDir.path, 'identity.secret');

  it('is 32 bytes, made once, in a file that only its owner can read', () => {
    const secret = localSecret(dataDir.path);
    expect(secret.byteLength).toBe(32);
    expect(localSecret(dataDir.path)).toEqual(secret);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(readFileSync(file(), 'utf8').trim()).toBe(Buffer.from(secret).toString('base64url'));
    expect(readdirSync(dataDir.path)).toEqual(['identity.secret']);
  });

  it('is made in a folder that does not exist yet', () => {
    expect(localSecret(join(dataDir.path, 'a', 'b')).byteLength).toBe(32);
  });

  it('is another one in another folder', () => {
    const other = temporaryDataDir();
    expect(localSecret(other.path)).not.toEqual(localSecret(dataDir.path));
    other.remove();
  });

  it.each([
    ['empty', ''],
    ['cut short', 'abc'],
    ['not base64url', '!'.repeat(43)],
    ['too long', 'a'.repeat(86)],
  ])('is refused when its file is %s, by the name of the file', (_what, content) => {
    writeFileSync(file(), content);
    expect(() => localSecret(dataDir.path)).toThrow(expect.objectContaining(UNUSABLE));
    expect(() => localSecret(dataDir.path)).toThrow(file());
    expect(readFileSync(file(), 'utf8')).toBe(content);
  });

  it('is refused when its file or folder cannot be used, by the name of the file', () => {
    mkdirSync(file());
    expect(() => localSecret(dataDir.path)).toThrow(file());
    const plain = join(dataDir.path, 'plain');
    writeFileSync(plain, '');
    expect(() => localSecret(plain)).toThrow(expect.objectContaining(UNUSABLE));
    expect(() => localSecret(plain)).toThrow(join(plain, 'identity.secret'));
  });

  it('is the same for processes that start at the same moment', async () => {
    const program = compile(dataDir.path);
    const starts = Array.from({ length: 6 }, () =>
      promisify(execFile)(process.execPath, [program, join(dataDir.path, 'data')]),
    );
    const secrets = (await Promise.all(starts)).map(({ stdout }) => stdout);
    expect(new Set(secrets).size).toBe(1);
    expect(secrets[0]).toMatch(/^[\w-]{43}$/);
    expect(readdirSync(join(dataDir.path, 'data'))).toEqual(['identity.secret']);
  });
});

/** The module as a program of its own that prints the secret of the folder it is given. */
function compile(folder: string): string {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  for (const path of ['ports/identity/local-secret', 'ports/identity/access-token', 'domain/errors']) {
    const source = readFileSync(join(root, 'src', `${path}.ts`), 'utf8');
    const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
    const target = join(folder, 'src', `${path}.js`);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, ts.transpileModule(source, { compilerOptions }).outputText);
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const program = join(folder, 'print-secret.js');
  writeFileSync(
    program,
    `import { localSecret } from './src/ports/identity/local-secret.js';
     process.stdout.write(Buffer.from(localSecret(process.argv[2])).toString('base64url'));`,
  );
  return program;
}

describe('issueLocalToken', () => {
  it('gives a user a token with the claims that Supabase would give', async () => {
    const dataDir = temporaryDataDir();
    const clock = new ManualClock();
    const token = await issueLocalToken({ dataDir: dataDir.path, subject: USER, ttlSeconds: 60, clock });
    const now = clock.now() / 1_000;
    expect(decodeJwt(token)).toEqual({
      iss: 'euglena-local',
      aud: 'authenticated',
      role: 'authenticated',
      sub: USER,
      iat: now,
      exp: now + 60,
      session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const identity = identityOf(localSecret(dataDir.path), clock);
    expect(await identity.verify(token)).toEqual({ userId: USER, expiresAt: clock.now() + 60_000 });
    dataDir.remove();
  });

  it.each([
    ['a subject that is no uuid', { subject: 'alice' }],
    ['no time', { ttlSeconds: 0 }],
    ['half a second', { ttlSeconds: 0.5 }],
    ['a time without end', { ttlSeconds: Infinity }],
    ['more than 366 days', { ttlSeconds: 366 * 86_400 + 1 }],
  ])('refuses %s', async (_what, changes) => {
    const dataDir = temporaryDataDir();
    const options = { dataDir: dataDir.path, subject: USER, ttlSeconds: 60, clock: new ManualClock() };
    await expect(issueLocalToken({ ...options, ...changes })).rejects.toMatchObject({
      code: 'invalid_field',
    });
    dataDir.remove();
  });
});
