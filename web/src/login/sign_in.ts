/** The prompt for a token or a key; shown when there is none, or the one there was has ended. */

import "./sign_in.css";
import { byId } from "../dom";
import { signedIn } from "./token";

/** Asks once; the page begins anew with what was given. `refused` when the token there was is the reason. */
export function askToSignIn(refused: boolean): void {
  const dialog = byId<HTMLDialogElement>("sign-in");
  if (dialog.open) return;
  signedIn.forget();
  const form = dialog.querySelector("form");
  const field = dialog.querySelector("input");
  form?.addEventListener("submit", () => {
    if (field === null || field.value.trim() === "") return;
    signedIn.keep(field.value);
    location.reload();
  });
  dialog.showModal();
  // Shown only now: a screen reader says what appears in an open dialog.
  byId("token-refused").hidden = !refused;
}
