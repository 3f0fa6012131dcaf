// The network document, with look-ups by id.

export class City {
  constructor(document_) {
    this.document = document_;
    this.routes = document_.routes;
    this.routeById = new Map(document_.routes.map((route, order) => [route.id, { ...route, order }]));
    this.stopById = new Map(
      document_.features
        .filter((feature) => feature.properties.kind === "stop")
        .map(({ properties, geometry }) => [
          properties.stop,
          {
            id: properties.stop,
            code: properties.code,
            name: { kk: properties.name_kk, ru: properties.name_ru, en: properties.name_en },
            routes: properties.routes,
            place: geometry.coordinates,
          },
        ]),
    );
  }

  route(id) {
    return this.routeById.get(id);
  }

  stop(id) {
    return this.stopById.get(id);
  }

  pattern(index) {
    return this.document.patterns[index];
  }

  linesOfRoutes(ids) {
    return this.document.features
      .filter(({ properties }) => properties.kind === "line" && ids.has(properties.route))
      .map((feature) => feature.id);
  }
}
