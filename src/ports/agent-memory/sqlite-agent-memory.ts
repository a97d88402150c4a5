import { createHash } from 'node:crypto';
import { type Passage } from '../../domain/situation.js';
import { type EmbeddedDatabase } from '../embedded/embedded-database.js';
import { type AgentMemory, type RecalledPassage } from './agent-memory.port.js';

/** How much of a need is read, in characters, and how many different words of it count. */
const NEED_MAX_CHARS = 20_000;
const NEED_MAX_WORDS = 64;
/** A letter or digit with its marks, and what follows without a gap. */
const WORD = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu;

/**
 * `task` is the correlation id as one indexable word: with it in the query, the index skips the passages of other tasks
 * instead of ranking them and throwing them away.
 */
const DDL = `
  CREATE TABLE IF NOT EXISTS memory_passages (
    id INTEGER PRIMARY KEY,
    correlation_id TEXT NOT NULL,
    task TEXT NOT NULL,
    source_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (correlation_id, source_id, digest)
  ) STRICT;
  CREATE VIRTUAL TABLE IF NOT EXISTS memory_words USING fts5 (
    task, text, content='memory_passages', content_rowid='id',
    tokenize='porter unicode61 remove_diacritics 2'
  );
  CREATE TRIGGER IF NOT EXISTS memory_passages_added AFTER INSERT ON memory_passages BEGIN
    INSERT INTO memory_words (rowid, task, text) VALUES (new.id, new.task, new.text);
  END;
  CREATE TRIGGER IF NOT EXISTS memory_passages_removed AFTER DELETE ON memory_passages BEGIN
    INSERT INTO memory_words (memory_words, rowid, task, text) VALUES ('delete', old.id, old.task, old.text);
  END;
`;

/** Passages in SQLite's full-text index: words by their stem, without accents, ranked by BM25. */
export class SqliteAgentMemory implements AgentMemory {
  constructor(private readonly database: EmbeddedDatabase) {
    database.define(DDL);
  }

  async remember(correlationId: string, passages: readonly Passage[]): Promise<void> {
    if (passages.length === 0) return;
    const task = wordOf(correlationId);
    this.database.transaction(() => {
      for (const { sourceId, text: given } of passages) {
        const text = given.replaceAll('\0', '\uFFFD'); // SQLite would end the text there.
        this.database.run(
          `INSERT INTO memory_passages (correlation_id, task, source_id, digest, text) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO NOTHING`,
          correlationId,
          task,
          sourceId,
          sha256(text),
          text,
        );
      }
    });
  }

  async recall(correlationId: string, need: string, limit: number): Promise<readonly Passage[]> {
    const found = await this.recallAmong([correlationId], need, limit);
    return found.map(({ sourceId, text }) => ({ sourceId, text }));
  }

  async recallAmong(
    correlationIds: readonly string[],
    need: string,
    limit: number,
  ): Promise<readonly RecalledPassage[]> {
    const words = wordsOf(need);
    if (words.length === 0 || correlationIds.length === 0 || limit < 1) return [];
    const anyWord = words.map((word) => `"${word}"`).join(' OR ');
    const anyTask = correlationIds.map((id) => `"${wordOf(id)}"`).join(' OR ');
    return this.database.all<RecalledPassage>(
      `SELECT passage.correlation_id AS correlationId, passage.source_id AS sourceId, passage.text AS text
       FROM memory_words JOIN memory_passages AS passage ON passage.id = memory_words.rowid
       WHERE memory_words MATCH ? AND passage.correlation_id IN (SELECT value FROM json_each(?))
       ORDER BY bm25(memory_words, 0.0, 1.0), passage.id LIMIT ?`,
      `task : (${anyTask}) AND text : (${anyWord})`,
      JSON.stringify(correlationIds),
      limit,
    );
  }

  async forget(correlationIds: readonly string[]): Promise<void> {
    if (correlationIds.length === 0) return;
    this.database.transaction(() => {
      for (const id of correlationIds) {
        this.database.run('DELETE FROM memory_passages WHERE correlation_id = ?', id);
      }
    });
  }

  async ping(): Promise<void> {
    this.database.get('SELECT 1');
  }

  async close(): Promise<void> {
    // The database belongs to the boot code.
  }
}

/** The first different words of a need. Only letters, digits and marks: nothing that the query language knows. */
function wordsOf(need: string): string[] {
  const words = new Set<string>();
  for (const [word] of need.slice(0, NEED_MAX_CHARS).normalize('NFC').matchAll(WORD)) {
    words.add(word.toLowerCase());
    if (words.size === NEED_MAX_WORDS) break;
  }
  return [...words];
}

function wordOf(correlationId: string): string {
  return `t${sha256(correlationId).slice(0, 32)}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
