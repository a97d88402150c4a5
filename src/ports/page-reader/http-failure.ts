/** Error codes of Node, OpenSSL and the HTTP client, by what they mean to somebody who wanted a page. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/^(?:ENOTFOUND|EAI_|ENODATA)/, 'The name could not be resolved.'],
  [/^UND_ERR_CONNECT_TIMEOUT$|^ETIMEDOUT$/, 'The server could not be reached in time.'],
  [/^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/, 'The server could not be reached.'],
  [/^UND_ERR_HEADERS_OVERFLOW$/, "The response's headers are too large."],
  [/^UND_ERR_(?:HEADERS|BODY)_TIMEOUT$/, 'The server stopped answering.'],
  [/^(?:UND_ERR_SOCKET|UND_ERR_RES_|ECONNRESET|EPIPE)/, 'The connection ended before the page did.'],
  [/^HPE_|^HTTPParserError$/, 'The answer is not valid HTTP.'],
  [
    /CERT|^ERR_TLS|^ERR_SSL|^EPROTO$|SIGNATURE|ISSUER/,
    "The server's certificate or encryption cannot be trusted.",
  ],
];

/** Why a request failed, in words that are safe to show: no vendor text, no address of ours. */
export function explain(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  const label = typeof code === 'string' ? code : String(name);
  return MEANINGS.find(([pattern]) => pattern.test(label))?.[1] ?? 'The page could not be read.';
}
