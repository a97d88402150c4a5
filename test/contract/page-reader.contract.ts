import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PageFailure, type PageReader } from '../../src/ports/page-reader/page-reader.port.js';

/** What an adapter brings to the suite. */
export interface PageReaderHarness {
  readonly reader: PageReader;
  /** A page that can be read, its title, and words that its text holds. */
  readonly known: { readonly url: string; readonly title: string; readonly words: string };
  /** A page with more text than any model takes. */
  readonly long: string;
  /** The address of a page that does not exist. */
  readonly missing: string;
  close(): Promise<void>;
}

const MAX_TEXT_CHARS = 200_000;

/** What every page reader must do, wherever its pages live. */
export function pageReaderContract(name: string, open: () => Promise<PageReaderHarness>): void {
  describe(`page reader on ${name}`, () => {
    let harness: PageReaderHarness;
    let reader: PageReader;
    const signal = new AbortController().signal;
    beforeEach(async () => {
      harness = await open();
      reader = harness.reader;
    });
    afterEach(() => harness.close());

    it('reads a page: address, title, text and its hash', async () => {
      const { url, title, words } = harness.known;
      const page = await reader.read(url, signal);
      expect(page).toMatchObject({ url, title, truncated: false });
      expect(page.text).toContain(words);
      expect(page.sha256).toBe(createHash('sha256').update(page.text, 'utf8').digest('hex'));
    });

    it('gives the same page twice', async () => {
      const { url } = harness.known;
      const [first, second] = await Promise.all([reader.read(url, signal), reader.read(url, signal)]);
      expect(second).toEqual(first);
    });

    it('cuts a long page, says so, and hashes what is left', async () => {
      const page = await reader.read(harness.long, signal);
      expect(page.truncated).toBe(true);
      expect(page.text.length).toBeGreaterThan(MAX_TEXT_CHARS - 2);
      expect(page.text.length).toBeLessThanOrEqual(MAX_TEXT_CHARS);
      expect(page.sha256).toBe(createHash('sha256').update(page.text, 'utf8').digest('hex'));
    });

    it('fails on a page that does not exist', async () => {
      const failure = await reader.read(harness.missing, signal).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(PageFailure);
      expect(failure).toMatchObject({ kind: 'failed', message: expect.stringMatching(/^[A-Z].*\.$/) });
    });

    it.each([
      '',
      ' ',
      'not an address',
      'file:///etc/passwd',
      'corpus:../../etc/passwd',
      'corpus:%00',
      'corpus:%ff',
    ])('rejects %j with a page failure', async (url) => {
      await expect(reader.read(url, signal)).rejects.toBeInstanceOf(PageFailure);
    });

    it("rejects with the signal's reason when it aborts, before and during the read", async () => {
      const reason = new Error('cancelled');
      await expect(reader.read(harness.known.url, AbortSignal.abort(reason))).rejects.toBe(reason);
      const controller = new AbortController();
      const reading = reader.read(harness.known.url, controller.signal);
      controller.abort(reason);
      await expect(reading).rejects.toBe(reason);
      await expect(reader.read(harness.known.url, signal)).resolves.toBeDefined();
    });

    it('answers a ping, and closes twice', async () => {
      await expect(reader.ping()).resolves.toBeUndefined();
      await reader.close();
      await expect(reader.close()).resolves.toBeUndefined();
    });
  });
}
