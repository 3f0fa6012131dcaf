// The MapLibre style made of our own network document: land, streets (where buses run), route lines, stops and names.
// No tiles, sprites or glyphs of others; label fonts are our woff2 files through the style's `font-faces`.

import { detourLayers } from "./detours.js";

const RANGES = {
  "cyrillic-ext": ["U+0460-048F", "U+0492-04AF", "U+04B2-052F"],
  cyrillic: ["U+0400-045F", "U+0490-0491", "U+04B0-04B1", "U+2116"],
  "latin-ext": ["U+0100-0130", "U+0132-0151", "U+0154-02BB", "U+1E00-1EFF", "U+20A0-20AB", "U+20AD-20C0"],
  latin: ["U+0000-00FF", "U+0131", "U+0152-0153", "U+2000-206F", "U+20AC", "U+2122"],
};
const LABEL_FONT = "Golos Text Medium";
const LABEL_WEIGHT = 500;

export const HIT_LAYERS = ["stops", "stop-names"];

/** The colours of the page's theme that the map needs, read from the custom properties. */
export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    land: colour("--map-land"),
    street: colour("--map-street"),
    streetEdge: colour("--map-street-edge"),
    label: colour("--map-label"),
    halo: colour("--map-halo"),
    surface: colour("--surface"),
    ink: colour("--ink"),
    quiet: colour("--quiet"),
    warn: colour("--warn"),
    bad: colour("--bad"),
    accent: colour("--accent"),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
  };
}

function fontFaces() {
  return {
    [LABEL_FONT]: Object.entries(RANGES).map(([subset, ranges]) => ({
      url: new URL(`/vendor/fonts/golos-text-${subset}-${LABEL_WEIGHT}.woff2`, location.href).href,
      "unicode-range": ranges,
    })),
  };
}

const byZoom = (...stops) => ["interpolate", ["exponential", 1.5], ["zoom"], ...stops];

/** The whole style. `chosen`: numbers of lines to bring forward, empty for none; `detours`: a feature collection. */
export function styleOf(document_, language, colours, chosen, detours) {
  const lines = document_.features.filter((feature) => feature.properties.kind === "line");
  const stops = document_.features.filter((feature) => feature.properties.kind === "stop");
  return {
    version: 8,
    "font-faces": fontFaces(),
    sources: {
      lines: { type: "geojson", data: collection(lines), tolerance: 0.3 },
      stops: { type: "geojson", data: collection(stops) },
      detours: { type: "geojson", data: detours },
    },
    layers: [
      { id: "land", type: "background", paint: { "background-color": colours.land } },
      ...streetLayers(colours),
      ...routeLayers(colours, chosen),
      ...stopLayers(language, colours),
      ...detourLayers(colours, byZoom, LABEL_FONT),
    ],
  };
}

function collection(features) {
  return { type: "FeatureCollection", features };
}

function streetLayers(colours) {
  const layout = { "line-cap": "round", "line-join": "round" };
  return [
    {
      id: "street-edges",
      type: "line",
      source: "lines",
      layout,
      paint: { "line-color": colours.streetEdge, "line-width": byZoom(10, 4, 12, 7, 14, 12, 16, 24) },
    },
    {
      id: "streets",
      type: "line",
      source: "lines",
      layout,
      paint: { "line-color": colours.street, "line-width": byZoom(10, 2.4, 12, 5, 14, 9.5, 16, 21) },
    },
  ];
}

function routeLayers(colours, chosen) {
  const layout = { "line-cap": "round", "line-join": "round" };
  return [
    {
      id: "routes",
      type: "line",
      source: "lines",
      layout,
      paint: {
        "line-color": ["get", "colour"],
        "line-width": byZoom(10, 1, 13, 2, 16, 4),
        "line-opacity": backOpacity(colours, chosen),
      },
    },
    {
      id: "route-chosen-edge",
      type: "line",
      source: "lines",
      filter: isChosen(chosen),
      layout,
      paint: { "line-color": colours.surface, "line-width": byZoom(10, 4, 13, 8, 16, 13), "line-opacity": 0.9 },
    },
    {
      id: "route-chosen",
      type: "line",
      source: "lines",
      filter: isChosen(chosen),
      layout,
      paint: { "line-color": ["get", "colour"], "line-width": byZoom(10, 2.4, 13, 4.5, 16, 8) },
    },
  ];
}

function stopLayers(language, colours) {
  return [
    {
      id: "stops",
      type: "circle",
      source: "stops",
      minzoom: 12,
      paint: {
        "circle-color": colours.surface,
        "circle-stroke-color": colours.quiet,
        "circle-radius": byZoom(12, 1.6, 14, 3.6, 17, 7),
        "circle-stroke-width": byZoom(12, 0.8, 14, 1.5, 17, 2.5),
      },
    },
    {
      id: "stop-names",
      type: "symbol",
      source: "stops",
      minzoom: 12.6,
      layout: {
        "text-field": stopName(language),
        "text-font": [LABEL_FONT],
        "text-size": byZoom(12, 10.5, 15, 13, 18, 16),
        "text-variable-anchor": ["left", "right", "top", "bottom"],
        "text-radial-offset": 0.75,
        "text-justify": "auto",
        "text-max-width": 9,
        "text-padding": 8,
        "symbol-sort-key": ["-", 0, ["get", "rank"]],
      },
      paint: { "text-color": colours.label, "text-halo-color": colours.halo, "text-halo-width": 1.6 },
    },
  ];
}

export function stopName(language) {
  return ["get", `name_${language}`];
}

const isChosen = (chosen) => ["in", ["id"], ["literal", chosen]];
const backOpacity = (colours, chosen) => (chosen.length ? 0.16 : colours.dark ? 0.6 : 0.5);

/** Bring lines forward, or none; cheaper than a new style. */
export function chooseLines(map, colours, chosen) {
  map.setFilter("route-chosen", isChosen(chosen));
  map.setFilter("route-chosen-edge", isChosen(chosen));
  map.setPaintProperty("routes", "line-opacity", backOpacity(colours, chosen));
}
