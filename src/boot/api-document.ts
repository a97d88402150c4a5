import { type NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

type Schema = NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string];
type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type RequestBody = Extract<NonNullable<Operation['requestBody']>, { content: object }>;
type MediaType = RequestBody['content'][string];

const ABOUT = `Autonomous agents as a service: hand in a mandate with a budget of ticks, get an answer with sources.

Errors are problem documents (RFC 9457) with a stable \`code\`. An answer other than 2xx changed nothing. Every answer carries
\`X-Request-Id\`; a request may bring its own (1 to 64 letters, digits, ".", "_" or "-").`;

const TAGS = {
  tasks: 'Mandates, the work on them, and their answers.',
  callbacks: 'Being told of the end of a task.',
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
  for (const media of mediaOf(document)) {
    if (media.examples === undefined) media.example ??= exampleOf(media.schema, schemas);
  }
  return sorted(document);
}

/** The bodies of all requests and answers. */
function mediaOf({ paths }: OpenAPIObject): MediaType[] {
  const operations = Object.values(paths).flatMap(({ get, post }) => [get, post]);
  const bodies = operations.flatMap((operation) => [
    operation?.requestBody as RequestBody | undefined,
    ...(Object.values(operation?.responses ?? {}) as Partial<RequestBody>[]),
  ]);
  return bodies.flatMap((body) => Object.values(body?.content ?? {}));
}

/** Made of the examples of the schema's properties. */
function exampleOf(schema: Schema | undefined, schemas: Record<string, Schema>): unknown {
  if (schema === undefined) return undefined;
  if ('$ref' in schema) return exampleOf(schemas[schema.$ref.replace(/^.*\//, '')], schemas);
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0] as unknown;
  if (schema.items !== undefined) return [exampleOf(schema.items, schemas)];
  const [variant] = schema.anyOf ?? schema.allOf ?? [];
  if (variant !== undefined) return exampleOf(variant, schemas);
  const fields = Object.entries(schema.properties ?? {});
  return Object.fromEntries(fields.map(([name, inner]) => [name, exampleOf(inner, schemas)]));
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
