/** What a log line is about. The ids are fields of their own in structured logs, so that one can search for them. */
export interface LogSubject {
  /** Correlation id of the task. */
  readonly task?: string;
  readonly user?: string;
  readonly request?: string;
}

/** A message for Nest's logger that carries ids. It reads as its text where a logger knows nothing of ids. */
export class LogLine {
  constructor(
    readonly text: string,
    readonly about: LogSubject,
  ) {}

  toString(): string {
    return [this.about.task, this.text].filter(Boolean).join(': ');
  }
}
