import { type NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

const ABOUT = `Autonomous agents as a service: hand in a mandate with a budget of ticks, get an answer with sources.

Errors are problem documents (RFC 9457) with a stable \`code\`. An answer other than 2xx changed nothing. Every answer carries
\`X-Request-Id\`; a request may bring its own (1 to 64 letters, digits, ".", "_" or "-").`;

const TAGS = {
  tasks: 'Mandates, the work on them, and their answers.',
  quota: 'Ticks of the day.',
  agents: 'Who works.',
  health: 'For load balancers and people.',
};
/** Bodies of requests: a field that is not named here is refused. */
const CLOSED = ['SubmitTask', 'ExtendTask'];

/** The OpenAPI 3.1 document of the API, the same for every process that serves it. */
export function describeApi(app: NestFastifyApplication): OpenAPIObject {
  const builder = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Euglena')
    .setDescription(ABOUT)
    .setVersion('1')
    .setLicense('MIT', 'https://spdx.org/licenses/MIT.html')
    .addServer('/', 'The gateway that serves this document.')
    .addBearerAuth({
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'The access token of a signed-in user. On the host of Euglena: `euglena token`.',
    });
  for (const [name, description] of Object.entries(TAGS)) builder.addTag(name, description);
  const document = SwaggerModule.createDocument(app, builder.build());
  const schemas = document.components?.schemas ?? {};
  for (const name of CLOSED) Object.assign(schemas[name] ?? {}, { additionalProperties: false });
  return sorted(document);
}

/** Paths and schemas by name: their order would otherwise be that in which modules happen to load. */
function sorted(document: OpenAPIObject): OpenAPIObject {
  const { paths, components } = document;
  return {
    ...document,
    paths: byName(paths),
    components: { ...components, schemas: byName(components?.schemas ?? {}) },
  };
}

function byName<T>(entries: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}
