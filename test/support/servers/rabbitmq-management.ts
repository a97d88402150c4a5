/** A request to the broker's management API. `url` holds the credentials, `path` begins with `/api/`. */
export function askManagement(url: string, path: string, init: RequestInit = {}): Promise<Response> {
  const { origin, username, password } = new URL(url);
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  return fetch(`${origin}${path}`, {
    ...init,
    headers: { authorization, 'content-type': 'application/json' },
  });
}
