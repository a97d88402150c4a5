import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type buildConnector } from 'undici';
import { isPublicAddress } from './address-guard.js';
import { PageFailure } from './page-reader.port.js';

/** All addresses of a name. Rejects, or answers none, when there is no such name. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

const RESOLVE_TIMEOUT_MS = 3_000;

/** Resolves as the host does (hosts file included: what it names is checked like any other answer). */
export const resolveBySystem: Resolve = async (hostname) => {
  const answers = await lookup(hostname, { all: true, verbatim: true });
  return answers.map(({ address }) => address);
};

/**
 * A connector that resolves a name, refuses it unless every answer is public, and dials one of the very addresses it
 * checked, as a literal. No second lookup happens in between, so a name that changes its answer (DNS rebinding) gains
 * nothing. TLS still checks the certificate against the name.
 * @param dial Opens the socket; gets the checked address as `hostname`.
 */
export function guardedConnector(resolve: Resolve, dial: buildConnector.connector): buildConnector.connector {
  return (options, callback) => {
    checkedAddress(options.hostname, resolve)
      .then((hostname) => dial({ ...options, hostname }, callback))
      .catch((error: unknown) => callback(error as Error, null));
  };
}

async function checkedAddress(hostname: string, resolve: Resolve): Promise<string> {
  const addresses = isIP(hostname) === 0 ? await withinTime(resolve(hostname)) : [hostname];
  if (!addresses.every(isPublicAddress)) {
    throw new PageFailure('refused', 'The name leads to an address that is not public.');
  }
  // Many hosts have no IPv6 route, and only one address is dialled.
  const address = addresses.find((candidate) => isIP(candidate) === 4) ?? addresses[0];
  if (address === undefined) throw new PageFailure('failed', 'The name has no address.');
  return address;
}

async function withinTime(answer: Promise<readonly string[]>): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const failure = new PageFailure('failed', 'The name could not be resolved in time.');
    timer = setTimeout(() => reject(failure), RESOLVE_TIMEOUT_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
