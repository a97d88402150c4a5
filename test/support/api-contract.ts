import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

type Json = Record<string, unknown>;
interface Answer {
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, { readonly schema: Json; readonly example?: unknown }>>;
}
export interface Operation {
  readonly method: string;
  /** As the document has it: `/tasks/{id}`. */
  readonly path: string;
  readonly operationId: string;
  readonly security: boolean;
  readonly responses: Readonly<Record<string, Answer>>;
}
/** What came back from a server. */
export interface Received {
  readonly status: number;
  readonly headers: { get(name: string): string | null | undefined };
  readonly body: string;
}

/**
 * openapi.json as a check of real answers: the status must be documented, the documented headers there, the content type
 * one of the documented, and the body exactly of its schema, without a field that the schema does not name.
 */
export class ApiContract {
  readonly document = JSON.parse(
    readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8'),
  ) as Json & { paths: Record<string, Record<string, Json>>; components: { schemas: Record<string, Json> } };
  readonly operations: readonly Operation[];
  /** What was checked so far: `submitTask 202`, … */
  readonly seen = new Set<string>();
  private readonly ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
  private readonly validators = new Map<string, ValidateFunction>();

  constructor() {
    addFormats.default(this.ajv);
    this.ajv.addVocabulary(['example', 'components', 'paths']);
    const schemas = Object.entries(this.document.components.schemas);
    const closed = schemas.map(([name, schema]) => [name, { additionalProperties: false, ...schema }]);
    this.ajv.addSchema({ $id: 'api', components: { schemas: Object.fromEntries(closed) as Json } });
    this.operations = Object.entries(this.document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        path,
        operationId: operation.operationId as string,
        security: operation.security !== undefined,
        responses: operation.responses as Operation['responses'],
      })),
    );
  }

  /** The operation behind a real request; undefined when the document does not know it. */
  operation(method: string, url: string): Operation | undefined {
    const path = url.replace(/[?#].*$/s, '');
    return this.operations.find(
      (known) =>
        known.method === method && new RegExp(`^${known.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
    );
  }

  /** Throws when an answer to a documented operation is not as documented. */
  check(method: string, url: string, { status, headers, body }: Received): void {
    const operation = this.operation(method, url);
    if (operation === undefined) return;
    const { operationId, responses } = operation;
    const what = `${operationId} ${status}`;
    const answer = responses[status] ?? responses.default;
    if (answer === undefined) throw new Error(`${what}: the document does not know this status`);
    if (responses[status] === undefined && status < 500 && ![408, 431].includes(status)) {
      throw new Error(`${what}: the document names no such status`);
    }
    for (const [name, { required }] of Object.entries(answer.headers ?? {})) {
      if (required && !headers.get(name.toLowerCase()))
        throw new Error(`${what}: the header ${name} is missing`);
    }
    this.seen.add(what);
    this.checkBody(what, answer, headers.get('content-type') ?? '', body);
  }

  /** Throws when a value is not of a schema of the document. */
  checkSchema(what: string, schema: Json, value: unknown): void {
    const key = JSON.stringify(schema);
    const resolved = JSON.parse(key.replaceAll('"#/components', '"api#/components')) as Json;
    const validate = this.validators.get(key) ?? this.ajv.compile(resolved);
    this.validators.set(key, validate);
    if (!validate(value)) {
      throw new Error(`${what}: ${this.ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
    }
  }

  /** Throws when a value is not of the schema of this name. */
  checkNamed(name: string, value: unknown): void {
    this.checkSchema(name, { $ref: `#/components/schemas/${name}` }, value);
  }

  private checkBody(what: string, { content = {} }: Answer, type: string, body: string): void {
    const media = content[type.replace(/;.*$/s, '')];
    if (media === undefined) {
      if (Object.keys(content).length === 0 && body === '') return;
      throw new Error(`${what}: the document does not know the content type "${type}"`);
    }
    if (/json/.test(type)) this.checkSchema(what, media.schema, JSON.parse(body));
  }
}
