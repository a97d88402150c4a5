import { lstat, readdir, realpath } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';

export interface CorpusFile {
  /** Relative to the corpus's folder, with slashes. */
  readonly path: string;
  readonly size: number;
}

const EXTENSIONS = ['.md', '.markdown', '.html', '.htm', '.txt'];

/**
 * The documents below `start` (a path relative to `root`, '' for all), sorted by path in each folder. Names that begin with a dot and
 * `node_modules` are left out, as are symbolic links that lead out of `root`.
 * @param skip Told about each path that cannot be read.
 */
export async function* corpusFiles(
  root: string,
  start: string,
  skip: (path: string) => void,
): AsyncGenerator<CorpusFile> {
  const realRoot = await realpath(root);
  const seen = new Set<string>();
  const waiting = [start];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    try {
      const real = await realpath(join(root, path));
      // A link can lead to a folder above itself, or to a file that was met already.
      if ((real !== realRoot && !real.startsWith(realRoot + sep)) || seen.has(real)) continue;
      seen.add(real);
      const found = await lstat(real);
      if (found.isDirectory()) waiting.push(...(await childrenOf(root, path)));
      else if (found.isFile() && EXTENSIONS.includes(extname(path).toLowerCase()))
        yield { path, size: found.size };
    } catch {
      skip(path);
    }
  }
}

async function childrenOf(root: string, path: string): Promise<string[]> {
  const names = await readdir(join(root, path));
  return names
    .filter((name) => !name.startsWith('.') && name !== 'node_modules')
    .sort()
    .reverse()
    .map((name) => (path === '' ? name : `${path}/${name}`));
}
