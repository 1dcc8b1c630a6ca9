/**
 * Stands in for the Zarr reader that NiiVue brings along: the server sends NIfTI only, and the reader with its
 * decompressors would more than double the page.
 */
function absent(): never {
  throw new Error("This page does not read Zarr.");
}

export class FetchStore {
  constructor() {
    absent();
  }
}
export const get = absent;
export const open = absent;
export const root = absent;
export const slice = absent;
