/** The API's own description, to read and to try: all of it from this server, so it needs no internet either. */

import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";
import viewer from "swagger-ui-dist/swagger-ui-bundle.js?url";
import { byId, el } from "../dom";
import { signedIn } from "../login/token";

/** As much of the viewer as is used here. */
interface Viewer {
  preauthorizeApiKey(scheme: string, token: string): void;
}
declare global {
  interface Window {
    SwaggerUIBundle?: (settings: Readonly<Record<string, unknown>>) => Viewer;
  }
}

/** The name in the document's `securitySchemes`. A key goes the same way. */
const SCHEME = "token";

function show(): void {
  const shown = window.SwaggerUIBundle?.({
    url: new URL("../openapi.json", location.href).href,
    domNode: byId("routes"),
    deepLinking: true,
    docExpansion: "list",
    displayRequestDuration: true,
    // Nobody else is told what the document says.
    validatorUrl: null,
    onComplete: () => {
      if (signedIn.token !== "") shown?.preauthorizeApiKey(SCHEME, signedIn.token);
    },
  });
}

signedIn.takeFromLinks();
// As it is published: bundled anew it would only take longer to build.
const script = el("script", { src: viewer });
script.addEventListener("load", show);
document.head.append(script);
