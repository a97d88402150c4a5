/** The project's folder. This file runs compiled, in infra/build. */
export const PROJECT_FOLDER = new URL('../../', import.meta.url);
