/** How often a request names a header (in lower case). Node keeps one of several hosts or credentials without a word. */
export function timesSent(name: string, rawHeaders: readonly string[]): number {
  let times = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === name) times += 1;
  }
  return times;
}
