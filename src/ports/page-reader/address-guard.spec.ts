import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from '@jest/globals';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { checkUrl, isPublicAddress } from './address-guard.js';
import { PageFailure } from './page-reader.port.js';

interface Case {
  readonly id: string;
  readonly url: string;
  readonly why: string;
  readonly stage: string;
  readonly resolves_to?: string[];
}
const { cases } = JSON.parse(readFileSync('test/corpora/ssrf-urls.json', 'utf8')) as { cases: Case[] };
const ofStages = (...stages: string[]) => cases.filter(({ stage }) => stages.includes(stage));

function refusal(url: string, base?: URL): string {
  try {
    return `passed as ${checkUrl(url, base).href}`;
  } catch (error) {
    return error instanceof PageFailure ? error.kind : String(error);
  }
}

describe('checkUrl', () => {
  test.each(ofStages('scheme', 'parse', 'raw', 'userinfo', 'literal'))('refuses $id: $why', ({ url }) => {
    expect(refusal(url)).toBe('refused');
  });

  test.each(ofStages('allow', 'dns', 'redirect'))('lets $id pass to the next check: $why', ({ url }) => {
    expect(checkUrl(url).protocol).toMatch(/^https?:$/);
  });

  test.each([
    ['http://@example.com/', 'an empty user name'],
    ['http:/\t/127.0.0.1/', 'a tab between the slashes'],
    ['http://example.com/a b', 'a space inside'],
    ['http://example..com/', 'an empty label'],
    ['http://host.onion/', 'an onion name'],
    ['http://1.0.0.127.in-addr.arpa/', 'the reverse tree'],
    [`http://example.com/${'p'.repeat(9_000)}`, 'an endless address'],
    ['', 'nothing'],
  ])('refuses %j: %s', (url) => {
    expect(refusal(url)).toBe('refused');
  });

  it('takes a relative address from the page that gave it, and checks it alike', () => {
    const base = new URL('https://example.com/a/b');
    expect(checkUrl('../c?d#e', base).href).toBe('https://example.com/c?d');
    expect(checkUrl('/@author/post', base).href).toBe('https://example.com/@author/post');
    expect(refusal('//10.0.0.1/', base)).toBe('refused');
    expect(refusal('//user@example.com/', base)).toBe('refused');
    expect(refusal('\\\\10.0.0.1\\', base)).toBe('refused');
  });

  it('refuses or passes any text, and throws nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.ipV6()), (text) => {
        for (const url of [text, `http://${text}/`, `http://[${text}]/`]) {
          expect(refusal(url)).toMatch(/^(?:refused$|passed as https?:\/\/)/);
        }
      }),
    );
  });
});

/** Each range of the IANA IPv4 special-purpose registry that a page cannot live in. */
const CLOSED_IPV4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4', '168.63.129.16/32'],
];
const closedIPv4 = fc.tuple(fc.constantFrom(...CLOSED_IPV4), fc.nat(0xffff_ffff)).map(([range, random]) => {
  const [start, bits] = ipaddr.IPv4.parseCIDR(range);
  const host = bits === 32 ? 0 : random % 2 ** (32 - bits);
  return start.toByteArray().reduce((sum, byte) => sum * 256 + byte, 0) + host;
});
const bytesOf = (ip: number) => [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255];
const hex = (n: number) => n.toString(16);

function spellings(ip: number): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = bytesOf(ip);
  const octal = (n: number) => `0${n.toString(8)}`;
  return [
    `${a}.${b}.${c}.${d}`,
    `${ip}`,
    `0x${hex(ip)}`,
    octal(ip),
    `${a}.${b * 65_536 + c * 256 + d}`,
    `${a}.${b}.${c * 256 + d}`,
    `0x${hex(a)}.${octal(b)}.${c}.0X${hex(d).toUpperCase()}`,
    `${a}.${b}.${c}.${d}.`,
    [...`${a}.${b}.${c}.${d}`].map((char) => `%${char.charCodeAt(0).toString(16)}`).join(''),
    [...`${a}。${b}。${c}。${d}`]
      .map((char) => (/\d/.test(char) ? String.fromCharCode(0xff10 + Number(char)) : char))
      .join(''),
  ];
}

function embeddings(ip: number): string[] {
  const [high, low] = [hex(ip >>> 16), hex(ip & 0xffff)];
  const inverted = ~ip >>> 0;
  return [
    `::${high}:${low}`,
    `::ffff:${high}:${low}`,
    `::ffff:0:${high}:${low}`,
    `64:ff9b::${high}:${low}`,
    `64:ff9b:1::${high}:${low}`,
    `2002:${high}:${low}::1`,
    `2001:0:${high}:${low}::`,
    `2001:0:808:808:0:ffff:${hex(inverted >>> 16)}:${hex(inverted & 0xffff)}`,
    `2606:4700::5efe:${high}:${low}`,
    `2606:4700::200:5efe:${high}:${low}`,
    `fe80::5efe:${high}:${low}`,
  ];
}

describe('isPublicAddress', () => {
  it('refuses every closed IPv4 address in every spelling', () => {
    fc.assert(
      fc.property(closedIPv4, (ip) => {
        expect(isPublicAddress(bytesOf(ip).join('.'))).toBe(false);
        for (const host of spellings(ip))
          expect([host, refusal(`http://${host}/`)]).toEqual([host, 'refused']);
      }),
    );
  });

  it('refuses every closed IPv4 address inside IPv6', () => {
    fc.assert(
      fc.property(closedIPv4, (ip) => {
        for (const address of embeddings(ip)) {
          expect([address, isPublicAddress(address)]).toEqual([address, false]);
          expect([address, refusal(`http://[${address}]/`)]).toEqual([address, 'refused']);
        }
      }),
    );
  });

  test.each([
    ...[
      '::',
      '::1',
      '100::1',
      '100:0:0:1::1',
      '2001::1',
      '2001:1::1',
      '2001:2::1',
      '2001:3::1',
      '2001:4:112::1',
    ],
    ...['2001:10::1', '2001:20::1', '2001:30::1', '2001:db8::1', '2002::1', '2620:4f:8000::1', '3fff::1'],
    ...[
      '4000::1',
      '5f00::1',
      'fc00::1',
      'fd00:ec2::254',
      'fe80::1',
      'fec0::1',
      'ff02::1',
      '2606:4700::1%eth0',
    ],
    ...['010.1.1.1', '1.1.1', '1', '0x1.1.1.1', '', 'example.com', '256.1.1.1', '[::1]', ' 8.8.8.8'],
  ])('%j is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test.each([
    ...['8.8.8.8', '1.0.0.1', '172.15.255.255', '172.32.0.0', '192.0.1.0', '198.17.255.255', '198.20.0.0'],
    ...[
      '223.255.255.255',
      '2606:4700:4700::1111',
      '2001:4860:4860::8888',
      '::ffff:8.8.8.8',
      '64:ff9b::808:808',
    ],
  ])('%j is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
});
