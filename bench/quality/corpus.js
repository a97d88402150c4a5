import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PROJECT = join(import.meta.dirname, '../..');
/** This project's own documents are long texts among the short ones; they stand below this folder. */
const OWN = 'project';

/** The questions, as `questions.json` has them. */
export function readQuestions() {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'questions.json'), 'utf8'));
}

/** Where a document of the corpus, such as `space/pluto.md`, really is. */
export function fileOf(path) {
  if (!path.startsWith(`${OWN}/`)) return join(import.meta.dirname, 'corpus', path);
  const own = path.slice(OWN.length + 1);
  const readme = join(PROJECT, own);
  return own === 'README.md' && existsSync(readme) ? readme : join(PROJECT, 'docs', own);
}

/** The paths of all documents. */
export function documentPaths() {
  const below = (folder) =>
    readdirSync(folder, { recursive: true }).filter((path) => /\.(?:md|html|txt)$/.test(path));
  const own = [...below(join(PROJECT, 'docs')), 'README.md'].map((path) => `${OWN}/${path}`);
  return [...below(join(import.meta.dirname, 'corpus')), ...own].sort();
}

/** Copies all documents into `folder`, which `SEARCH_CORPUS_DIR` can then name. */
export function layOut(folder) {
  for (const path of documentPaths()) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    cpSync(fileOf(path), join(folder, path));
  }
}
