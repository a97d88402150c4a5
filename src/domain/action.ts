/** What a model can ask for in one tick. */
export const ACTION_NAMES = ['SEARCH', 'VISIT', 'THINK', 'EXIT'] as const;
export type ActionName = (typeof ACTION_NAMES)[number];

/** `argument`: a query (SEARCH), an address (VISIT), a note (THINK), the answer (EXIT). Never empty. */
export interface Action {
  readonly name: ActionName;
  readonly argument: string;
  /** Why, in the model's words; may be empty. */
  readonly thought: string;
  /** EXIT only: the answer's data, as the model gave it. Not checked. */
  readonly data?: unknown;
}
