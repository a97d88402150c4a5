/** What is given does not make a deployment. The message says to whoever runs the command what to change. */
export class RefusedDeployment extends Error {
  override readonly name = 'RefusedDeployment';
}
