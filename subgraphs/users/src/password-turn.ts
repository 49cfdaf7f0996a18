import { refusalCode, Refusal } from '@cinegraph/service/refusal';

/** Must be called for each mutation of a request that sends a password. Throws from the second call on. */
export type PasswordTurn = () => void;

/**
 * Creates the turn of one request. It may send one password: with aliases it could try fifty, and would count
 * as one request for every limit.
 */
export const createPasswordTurn = (): PasswordTurn => {
  let isUsed = false;
  return () => {
    if (isUsed) {
      throw new Refusal(
        refusalCode.badUserInput,
        'A request may have one mutation with a password. Send each of them on its own.',
      );
    }
    isUsed = true;
  };
};
