import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { PageFailure } from './page-reader.port.js';
import { parseUrl } from '../../domain/parse-url.js';

const MAX_URL_CHARS = 8_192;
/** The ports that web sites use; '' is the scheme's own. Anything else on a public host is a service, not a page. */
const PORTS = ['', '80', '443', '8080', '8443'];
/**
 * Names that never stand for a public web site: RFC 6761 (localhost, test, example, invalid), RFC 6762 (local and the
 * private names of its appendix G), RFC 7686 (onion), RFC 8375 (home.arpa, inside arpa), RFC 9476 (alt), ICANN's
 * `internal`, and what container platforms and old hosts files add.
 */
const SPECIAL_USE = new Set(
  (
    'localhost test example invalid local intranet internal private corp home lan onion arpa alt ' +
    'localdomain localdomain6 svc docker'
  ).split(' '),
);
/** Public by its number, but answered by the host: Azure's WireServer. */
const HOST_SERVICES = ['168.63.129.16'];
const IPV4_MAPPED = ipaddr.IPv6.parseCIDR('::ffff:0:0/96');
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Decides from the text of an address whether it may be visited. A name that passes is not yet safe: every address that
 * it resolves to must pass {@link isPublicAddress} too, at the moment of dialling.
 * @param base The page that gave the address, when it is relative (a redirect).
 * @throws PageFailure `refused`
 */
export function checkUrl(raw: string, base?: URL): URL {
  const text = raw.replace(/^ +| +$/g, '');
  if (text.length > MAX_URL_CHARS) throw refused(`is longer than ${MAX_URL_CHARS} characters`);
  // Parsers disagree about these, so that what is checked could differ from what is dialled.
  if (/[\\\s\p{Cc}]/u.test(text)) throw refused('holds a backslash, white space or a control character');
  const url = parseUrl(text, base);
  if (url === null) throw refused('is not an absolute http or https address');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused('is not http or https');
  if (url.username !== '' || url.password !== '' || /^(?:[a-z]+:\/*|\/\/+)[^/?#]*@/i.test(text)) {
    throw refused('holds a user name or password');
  }
  if (!PORTS.includes(url.port))
    throw refused(`has port ${url.port}; only 80, 443, 8080 and 8443 are visited`);
  checkHost(url.hostname);
  url.hash = '';
  return url;
}

function checkHost(hostname: string): void {
  const literal = hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0) {
    if (!isPublicAddress(literal)) throw refused('is not a public address');
    return;
  }
  const labels = hostname.replace(/\.$/, '').toLowerCase().split('.');
  const last = labels.at(-1) ?? '';
  if (labels.length < 2 || labels.includes('') || SPECIAL_USE.has(last)) {
    throw refused('is not a public name');
  }
}

/**
 * Whether an IP address in its usual spelling is a global unicast address, by the IANA special-purpose registries.
 * IPv4 inside IPv6 counts as the IPv4 address where the network would translate it (mapped, NAT64, ISATAP); the other
 * embeddings (compatible, 6to4, Teredo, SIIT, local-use NAT64) are no destinations of web pages and never pass.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return isPublicIPv4(ipaddr.IPv4.parse(address));
  // A zone (`%eth0`) names a link of this host.
  if (isIP(address) !== 6 || address.includes('%')) return false;
  const ip = ipaddr.IPv6.parse(address);
  if (ip.match(IPV4_MAPPED) || ip.match(NAT64)) return isPublicIPv4(lowestIPv4(ip));
  if (!ip.match(GLOBAL_UNICAST) || ip.range() !== 'unicast') return false;
  const isatap = ip.parts[5] === 0x5efe && (ip.parts[4] === 0 || ip.parts[4] === 0x200);
  return !isatap || isPublicIPv4(lowestIPv4(ip));
}

function isPublicIPv4(ip: ipaddr.IPv4): boolean {
  return ip.range() === 'unicast' && !HOST_SERVICES.includes(ip.toString());
}

function lowestIPv4(ip: ipaddr.IPv6): ipaddr.IPv4 {
  return new ipaddr.IPv4(ip.toByteArray().slice(12));
}

function refused(why: string): PageFailure {
  return new PageFailure('refused', `The address ${why}.`);
}
