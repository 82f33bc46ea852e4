/** The white glyphs inside the markers, drawn on a canvas at start: one square cell per kind. */

import { KINDS, type Kind } from "../live/frames";

export const CELL_PX = 96;

/** Draws each glyph in a 24 × 24 field, strokes only. */
const DRAW: Readonly<Record<Kind, (pen: CanvasRenderingContext2D) => void>> = {
  bike(pen) {
    circle(pen, 6, 15.6, 4.1);
    circle(pen, 18, 15.6, 4.1);
    line(pen, [6, 15.6, 9.4, 8.8, 15.4, 8.8, 11.8, 15.6, 9.4, 8.8]);
    line(pen, [18, 15.6, 14.8, 5.8, 17.4, 5.8]);
    line(pen, [7.8, 6.4, 10.6, 6.4]);
  },
  cabinet(pen) {
    pen.beginPath();
    pen.moveTo(13.6, 2.6);
    pen.lineTo(5.6, 13.6);
    pen.lineTo(11.2, 13.6);
    pen.lineTo(10.2, 21.4);
    pen.lineTo(18.4, 10.2);
    pen.lineTo(12.7, 10.2);
    pen.closePath();
    pen.fill();
  },
  locker(pen) {
    pen.strokeRect(4.6, 4.4, 14.8, 15.2);
    line(pen, [12, 4.4, 12, 19.6]);
    line(pen, [4.6, 12, 19.4, 12]);
    for (const [x, y] of [[9.4, 8.2], [16.8, 8.2], [9.4, 15.8], [16.8, 15.8]] as const) dot(pen, x, y);
  },
};

/** All cells side by side, in the order of KINDS. */
export function glyphAtlas(): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = CELL_PX * KINDS.length;
  canvas.height = CELL_PX;
  const pen = canvas.getContext("2d");
  if (pen === null) return canvas;
  KINDS.forEach((kind, cell) => drawGlyph(pen, kind, cell * CELL_PX, CELL_PX));
  return canvas;
}

/** Draws one glyph in white into a square of `size_px` at (`left_px`, 0). */
export function drawGlyph(pen: CanvasRenderingContext2D, kind: Kind, left_px: number, size_px: number): void {
  pen.save();
  pen.translate(left_px, 0);
  pen.scale(size_px / 24, size_px / 24);
  pen.strokeStyle = "#fff";
  pen.fillStyle = "#fff";
  pen.lineWidth = 1.9;
  pen.lineCap = "round";
  pen.lineJoin = "round";
  DRAW[kind](pen);
  pen.restore();
}

function circle(pen: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.stroke();
}

function dot(pen: CanvasRenderingContext2D, x: number, y: number): void {
  pen.beginPath();
  pen.arc(x, y, 1, 0, 2 * Math.PI);
  pen.fill();
}

function line(pen: CanvasRenderingContext2D, points: readonly number[]): void {
  pen.beginPath();
  for (let at = 0; at + 1 < points.length; at += 2) pen.lineTo(points[at] ?? 0, points[at + 1] ?? 0);
  pen.stroke();
}
