import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { type NestFastifyApplication } from '@nestjs/platform-fastify';
import { type FastifyInstance } from 'fastify';
import { describeApi } from './api-document.js';

/** What Swagger UI loads, from its own package. */
const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'] as const;
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
};
const POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Euglena API</title>
    <link rel="icon" href="docs/favicon-32x32.png" />
    <link rel="stylesheet" href="docs/swagger-ui.css" />
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
`;
const START = `SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: true,
});
`;

/** Serves the OpenAPI document (`/openapi.json`) and Swagger UI (`/docs`). Both are made when first asked for. */
export function serveApiDocs(app: NestFastifyApplication): void {
  const http: FastifyInstance = app.getHttpAdapter().getInstance();
  let document: string | undefined;
  http.get('/openapi.json', async (_request, reply) => {
    document ??= JSON.stringify(describeApi(app));
    return reply.type('application/json; charset=utf-8').send(document);
  });
  http.get('/docs', async (_request, reply) =>
    reply.header('content-security-policy', POLICY).type('text/html; charset=utf-8').send(PAGE),
  );
  http.get('/docs/start.js', async (_request, reply) => reply.type(TYPES['.js'] ?? '').send(START));
  for (const name of ASSETS) serveAsset(http, name);
}

function serveAsset(http: FastifyInstance, name: string): void {
  let content: Promise<Buffer> | undefined;
  http.get(`/docs/${name}`, async (_request, reply) => {
    content ??= readFile(
      join(dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json')), name),
    );
    return reply
      .type(TYPES[extname(name)] ?? 'application/octet-stream')
      .header('cache-control', 'public, max-age=3600')
      .send(await content);
  });
}
