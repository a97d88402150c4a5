import { type Clock } from '../../domain/clock.js';
import { EuglenaError } from '../../domain/errors.js';
import { invalidToken, type TokenHolder } from './access-token.js';
import { type Standing } from './auth-server.js';
import { LruMap } from './lru-map.js';

/** How long a confirmed address counts without asking again, in ms. */
const CONFIRMED_MS = 5 * 60_000;
/** The same for one that is not: whoever confirms it now wants in soon, in ms. */
const REFUSED_MS = 30_000;
/** Sessions remembered at most. One takes about 250 bytes. */
const SESSIONS_MAX = 10_000;

interface Known {
  readonly standing: Standing;
  readonly until: number;
}

/** Lets in only users whose e-mail address or telephone number is confirmed. */
export class ConfirmedAddress {
  private readonly known = new LruMap<Known>(SESSIONS_MAX);
  private readonly asking = new Map<string, Promise<Standing>>();

  /** `ask` tells what is known of a token's holder; null when there is nobody to ask. */
  constructor(
    private readonly ask: ((token: string) => Promise<Standing>) | null,
    private readonly clock: Clock,
  ) {}

  /**
   * @throws EuglenaError `forbidden` when the address is not confirmed; `unauthenticated` when the session has ended;
   * `engine_unavailable` when nobody can tell.
   */
  async require({ session, addressConfirmed }: TokenHolder, token: string): Promise<void> {
    if (addressConfirmed === true) return;
    if (addressConfirmed === false) throw unconfirmed();
    if (this.ask === null) return;
    const standing = this.recall(session) ?? (await this.find(session, token, this.ask));
    if (standing === 'gone') throw invalidToken();
    if (standing === 'unconfirmed') throw unconfirmed();
  }

  private recall(session: string): Standing | undefined {
    const known = this.known.get(session);
    return known !== undefined && this.clock.now() < known.until ? known.standing : undefined;
  }

  /** Asked once, however many requests of a session wait for the answer. */
  private async find(
    session: string,
    token: string,
    ask: (token: string) => Promise<Standing>,
  ): Promise<Standing> {
    let answer = this.asking.get(session);
    if (answer === undefined) {
      answer = ask(token).finally(() => this.asking.delete(session));
      this.asking.set(session, answer);
    }
    const standing = await answer;
    const remember = standing === 'confirmed' ? CONFIRMED_MS : REFUSED_MS;
    this.known.set(session, { standing, until: this.clock.now() + remember });
    return standing;
  }
}

function unconfirmed(): EuglenaError {
  return new EuglenaError('forbidden', 'Confirm your e-mail address or telephone number first.');
}
