/** What keeps a process from starting, said in one sentence; the process prints it and exits with 1. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
