/** The token of whoever is signed in: out of the link that was opened, kept by this tab only. */

const KEPT = "latchkey-token";

interface Kept {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/** The token in a fragment such as `#token=…` or `#15/31.2/121.4&token=…`, and the fragment without it. */
export function tokenIn(fragment: string): { readonly token: string; readonly rest: string } {
  const parts = fragment.replace(/^#/, "").split("&");
  const found = parts.find((part) => part.startsWith("token="));
  const rest = parts.filter((part) => part !== found && part !== "").join("&");
  return { token: found === undefined ? "" : decoded(found.slice("token=".length)), rest: rest === "" ? "" : `#${rest}` };
}

/** What a link was broken into is no token: the page asks for one. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

export class SignedIn {
  constructor(private readonly kept: Kept) {}

  /** Empty when nobody is signed in. */
  get token(): string {
    return this.kept.getItem(KEPT) ?? "";
  }

  keep(token: string): void {
    this.kept.setItem(KEPT, token.trim());
  }

  forget(): void {
    this.kept.removeItem(KEPT);
  }

  /** Takes a token out of the address, so that it stays neither there nor in the history; whether there was one. */
  takeFrom(place: Pick<Location, "hash" | "pathname" | "search">, past: History): boolean {
    const { token, rest } = tokenIn(place.hash);
    if (token === "") return false;
    this.keep(token);
    past.replaceState(past.state, "", place.pathname + place.search + rest);
    return true;
  }

  /** The token of this page's link. Opened in a tab that shows the page already, a link changes only the fragment:
   * then the page begins anew. */
  takeFromLinks(): void {
    this.takeFrom(location, history);
    window.addEventListener("hashchange", (change) => {
      // Of the address that was opened: a map that moves may have written its place over it by now.
      if (this.takeFrom(new URL(change.newURL), history)) location.reload();
    });
  }
}

/** Whoever is signed in, in this tab. */
export const signedIn = new SignedIn(globalThis.sessionStorage);
