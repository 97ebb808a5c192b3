"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayOperationId: true,
  filter: true,
  // The key stays in the page: it is forgotten when the page is closed.
  persistAuthorization: false,
  // Would ask a stranger's server whether the description is sound.
  validatorUrl: null,
});
