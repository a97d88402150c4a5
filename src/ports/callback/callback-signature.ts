import { createHmac } from 'node:crypto';

/**
 * The signing key of one user, from the installation's master secret: nothing is stored, and no user can sign for another.
 * 32 bytes, as the Standard Webhooks specification asks (24 to 64).
 */
export function signingKey(master: Uint8Array, owner: string): Buffer {
  return createHmac('sha256', master).update(`euglena callback ${owner}`).digest();
}

/** The headers of a message by the Standard Webhooks specification 1.0: HMAC-SHA256 over `<id>.<seconds>.<body>`. */
export function signedHeaders(
  key: Buffer,
  message: { readonly id: string; readonly body: string },
  at: number,
): Record<string, string> {
  const seconds = Math.floor(at / 1_000);
  const signature = createHmac('sha256', key)
    .update(`${message.id}.${seconds}.${message.body}`)
    .digest('base64');
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
  };
}
