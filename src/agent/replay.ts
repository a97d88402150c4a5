import { type Action, ACTION_NAMES } from '../domain/action.js';
import { type JournalEntry } from '../domain/journal.js';
import { type Observation, type SearchHit, type TickRecord } from '../domain/situation.js';
import { type Source } from '../domain/task.js';

/** What a run goes on from. */
export interface Replay {
  readonly history: TickRecord[];
  readonly sources: Source[];
}

/** What came of an answer whose task goes on. */
const NOT_THE_LAST: Observation = {
  text: 'The answer was given. Then the user extended the budget: go on, and EXIT with a better answer.',
  failed: false,
};

/**
 * Folds a journal into what the agent knew when it ended. A tick whose observation is missing was cut off after its
 * decision: its action is to be carried out again, its model call is not. An answer before an extension is done with.
 */
export function replay(entries: readonly JournalEntry[]): Replay {
  const history: TickRecord[] = [];
  const sources = new Map<string, Source>();
  for (const { type, data } of entries) {
    if (type === 'tick')
      history.push({ tick: history.length + 1, action: actionOf(data), observation: null });
    const last = history.at(-1);
    if (last === undefined) continue;
    if (type === 'extended' && last.action.name === 'EXIT') {
      history.splice(-1, 1, { ...last, observation: NOT_THE_LAST });
    }
    if (type !== 'observation') continue;
    const observation = observationOf(data);
    history.splice(-1, 1, { ...last, observation });
    const { source } = observation;
    if (source && !sources.has(source.id)) sources.set(source.id, source);
  }
  return { history, sources: [...sources.values()] };
}

/** The journal's form of an observation; {@link replay} reads it back whole. */
export function observationData(observation: Observation): Record<string, unknown> {
  const { text, failed, hits, source } = observation;
  return {
    text,
    failed,
    hits: hits?.map(({ url, title, snippet }) => ({ url, title, snippet })),
    source: source && {
      id: source.id,
      url: source.url,
      title: source.title,
      retrieved_at: new Date(source.retrievedAt).toISOString(),
      sha256: source.sha256,
    },
  };
}

type Data = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const isData = (value: unknown): value is Data => typeof value === 'object' && value !== null;

function actionOf(data: Data): Action {
  const name = ACTION_NAMES.find((known) => known === data.action) ?? 'THINK';
  const action = { name, argument: text(data.argument), thought: text(data.thought) };
  return data.data === undefined ? action : { ...action, data: data.data };
}

function observationOf(data: Data): Observation {
  return {
    text: text(data.text),
    failed: data.failed === true,
    ...(Array.isArray(data.hits) ? { hits: data.hits.filter(isData).map(hitOf) } : {}),
    ...(isData(data.source) ? { source: sourceOf(data.source) } : {}),
  };
}

function hitOf(data: Data): SearchHit {
  return { url: text(data.url), title: text(data.title), snippet: text(data.snippet) };
}

function sourceOf(data: Data): Source {
  const retrievedAt = Date.parse(text(data.retrieved_at));
  return {
    id: text(data.id),
    url: text(data.url),
    title: text(data.title),
    retrievedAt: Number.isNaN(retrievedAt) ? 0 : retrievedAt,
    sha256: text(data.sha256),
  };
}
