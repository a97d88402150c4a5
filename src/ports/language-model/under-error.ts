import { type Body } from './undici-fetch.js';

/** A refusal with its reason in `error`: the `openai` SDK looks only there, and some servers put it elsewhere. */
export function underError(body: Body): Body {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof json !== 'object' || json === null || 'error' in json) return body;
    return new TextEncoder().encode(JSON.stringify({ error: json }));
  } catch {
    return body;
  }
}
