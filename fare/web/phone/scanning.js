// Reading a QR from a picture: by the browser where it can, else by a library that is fetched only then.

const SIDE = 640; // of the picture that is searched: a QR held to the camera fills most of it

/** A function from something that can be drawn, and its size, to the text of a QR in it, or null. */
export async function qrReader() {
  if ("BarcodeDetector" in window) {
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    return async (source) => (await detector.detect(source))[0]?.rawValue ?? null;
  }
  const { default: decode } = await import("/vendor/qr/decode.js");
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  return async (source, width, height) => {
    const scale = Math.min(SIDE / Math.max(width, height), 1);
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (!wide || !high) return null;
    Object.assign(context.canvas, { width: wide, height: high });
    context.drawImage(source, 0, 0, wide, high);
    try {
      return decode(context.getImageData(0, 0, wide, high));
    } catch {
      return null; // no QR in this picture
    }
  };
}
