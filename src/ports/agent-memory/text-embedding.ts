/** Texts as vectors: what is close in meaning or words is close in direction. */
export interface TextEmbedding {
  /** Tells vectors of one kind from those of another; a collection holds one kind only. */
  readonly name: string;
  /**
   * One vector for each text, in their order; none is zero for a text with a letter or digit in it.
   * @throws EuglenaError `engine_unavailable`; the signal's reason when it aborts first.
   */
  embed(texts: readonly string[], signal: AbortSignal): Promise<number[][]>;
  close(): Promise<void>;
}
