/** A JSON Schema that a task's data is to follow; its root describes an object. */
export type OutputSchema = Readonly<Record<string, unknown>>;

export const OUTPUT_SCHEMA_MAX_BYTES = 16_384;
const DEPTH_MAX = 32;

/** What keeps a value from being carried as a schema: its form and size alone. Null when nothing does. */
export function schemaBoundsProblem(value: unknown): string | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be a JSON object';
  if (isDeeperThan(value, DEPTH_MAX)) return `must not be nested deeper than ${DEPTH_MAX} levels`;
  if (Buffer.byteLength(JSON.stringify(value)) > OUTPUT_SCHEMA_MAX_BYTES) {
    return `must have at most ${OUTPUT_SCHEMA_MAX_BYTES} bytes`;
  }
  return (value as OutputSchema).type === 'object' ? null : 'must have "type": "object" at its root';
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((item) => isDeeperThan(item, levels - 1));
}
