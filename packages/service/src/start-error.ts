/** A reason why a process cannot start, in one sentence. The process prints it and exits with code 1. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
