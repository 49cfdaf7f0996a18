/**
 * A reason why a process cannot start or go on, in one sentence. The process prints it and exits with
 * `exitCode`.
 */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly exitCode: 1 | 2 = 1;
}

/** A StartError because a command was called with wrong arguments. */
export class UsageError extends StartError {
  override readonly exitCode = 2;
}
