/** Knows which methods an address answers, so that a wrong method is told from a wrong address (405, not 404). */
export class RouteMethods {
  private readonly routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];

  /** Takes a route as the router has it: `/tasks/:id/events`. Catch-all routes say nothing about an address. */
  add(url: string, methods: string | readonly string[]): void {
    if (url.includes('*')) return;
    const source = url
      .split('/')
      .map((part) => (part.startsWith(':') ? '[^/]+' : part.replace(/[^\w-]/g, '\\$&')))
      .join('/');
    this.routes.push({ pattern: new RegExp(`^${source}$`), methods: [methods].flat() });
  }

  /** The methods of an address, sorted; empty when there is nothing at it. */
  allowed(url: string): string[] {
    const path = url.replace(/[?#].*$/s, '');
    const methods = this.routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
    return [...new Set(methods)].sort();
  }
}
