import { ACTION_NAMES, type ActionName } from './action.js';
import { type Json, readJson } from './read-json.js';

export const isList = (value: Json): value is readonly Json[] => Array.isArray(value);
const isText = (value: Json | undefined): value is string => typeof value === 'string' && value.trim() !== '';
const isObject = (value: Json | undefined): value is ReadonlyMap<string, Json> => value instanceof Map;

/** An object of a model's reply, by its fields. Names and arguments are the model's own words, unchecked. */
interface ActionFields {
  /** Null when the object is no action. */
  readonly name: ActionName | null;
  /** Null when it is missing, of the wrong type, or ambiguous. */
  readonly argument: string | null;
  readonly thought: string;
  /** Undefined when there is none. */
  readonly data: Json | undefined;
}

/** Reads `{"action", "argument", "thought"}` or a tool call. */
export function readFields(object: ReadonlyMap<string, Json>): ActionFields {
  const spoken = object.has('action') ? object.get('action') : object.get('name');
  const name = typeof spoken === 'string' ? actionName(spoken) : null;
  const thought = object.get('thought');
  let argument: string | null = null;
  if (name !== null) argument = object.has('action') ? argumentOf(object, name) : toolArgument(object, name);
  return { name, argument, thought: typeof thought === 'string' ? thought : '', data: dataOf(object) };
}

/** The answer's data: beside the action, in an argument that is an object, or in a tool call's arguments. */
function dataOf(object: ReadonlyMap<string, Json>): Json | undefined {
  if (object.has('data')) return object.get('data');
  const given = object.has('action') ? object.get('argument') : argumentsOf(object);
  return isObject(given) ? given.get('data') : undefined;
}

/** ASCII letters only: look-alikes are no action names. */
export function actionName(spoken: string): ActionName | null {
  const name = spoken.trim();
  if (!/^[A-Za-z]+$/.test(name)) return null;
  return ACTION_NAMES.find((known) => known === name.toUpperCase()) ?? null;
}

const WRAPPERS = new Set(['response', 'action', 'actions', 'tool_call', 'tool_calls', 'function_call']);

/** What a reply may wrap around its action; null when this object is not a wrapper. */
export function unwrap(value: ReadonlyMap<string, Json>): Json | null {
  const call = value.get('function');
  if (isObject(call) && !value.has('action')) return call;
  const [only, ...others] = value;
  if (only === undefined || others.length > 0 || !WRAPPERS.has(only[0])) return null;
  return typeof only[1] === 'string' ? null : only[1];
}

const SPELLINGS: Record<ActionName, string> = {
  SEARCH: 'query',
  VISIT: 'url',
  THINK: 'thought',
  EXIT: 'answer',
};

/** The argument, under its canonical name or the action's own. Two that differ are refused: which one was meant? */
function argumentOf(fields: ReadonlyMap<string, Json>, name: ActionName): string | null {
  const canonical = textOrObject(fields.get('argument'));
  const own = fields.get(SPELLINGS[name]);
  if (isObject(canonical)) return argumentOf(canonical, name);
  if (typeof canonical !== 'string') return null;
  if (!isText(canonical)) return isText(own) ? own : null;
  if (name !== 'THINK' && isText(own) && own.trim() !== canonical.trim()) return null;
  return canonical;
}

/** Numbers, true and false are no arguments, as if there were none. */
function textOrObject(value: Json | undefined): Json {
  return value === undefined || typeof value === 'number' || typeof value === 'boolean' ? '' : (value ?? '');
}

/** `{"name", "arguments"}` as in OpenAI's tool calls, `input` as in Anthropic's, `parameters` as in Llama's. */
function toolArgument(call: ReadonlyMap<string, Json>, name: ActionName): string | null {
  const given = argumentsOf(call);
  return isObject(given) ? argumentOf(given, name) : null;
}

function argumentsOf(call: ReadonlyMap<string, Json>): Json | undefined {
  const given = call.get('arguments') ?? call.get('input') ?? call.get('parameters');
  if (typeof given !== 'string') return given;
  const { value, end } = readJson(given, 0);
  return given.slice(end).trim() === '' ? value : undefined;
}
