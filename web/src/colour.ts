export type Rgb = [number, number, number];

export function parseColour(text: string): Rgb {
  const match = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(text.trim());
  if (!match) return [255, 255, 255];
  const digits = match[1]!.length === 3 ? [...match[1]!].map((c) => c + c).join("") : match[1]!;
  return [0, 2, 4].map((i) => parseInt(digits.slice(i, i + 2), 16)) as Rgb;
}

/** The red, green, blue and opacity of all 256 label values; values without a label are white, so that they are seen. */
export function labelTable(labels: readonly { value: number; colour: string }[]): Uint8ClampedArray {
  const table = new Uint8ClampedArray(256 * 4).fill(255);
  table.fill(0, 0, 4);
  for (const { value, colour } of labels) if (value > 0 && value < 256) table.set(parseColour(colour), value * 4);
  return table;
}

function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((v) => {
    const part = v / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The contrast ratio of WCAG 2, from 1 to 21. */
export function contrast(one: string, two: string): number {
  const [a, b] = [luminance(parseColour(one)), luminance(parseColour(two))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
