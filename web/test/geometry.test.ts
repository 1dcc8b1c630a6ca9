import { describe, expect, it } from "vitest";
import { clampVoxel, fit, inside, normaliseBox, type Pane, paneAt, picturePane, thin, tidy, toScreen, toVoxel, zoomAt } from "../src/geometry.ts";
import { arrange, AXIAL, CORONAL, RENDER, SAGITTAL, tilePane } from "../src/planes.ts";

const close = (a: number[], b: number[]) => a.forEach((v, i) => expect(v).toBeCloseTo(b[i]!, 6));

describe("pictures", () => {
  it("fit into the middle of the viewer", () => {
    const pane = picturePane(fit([400, 200], 824, 624), 824, 624);
    close(toScreen(pane, [-0.5, -0.5]), [12, 112]);
    close(toScreen(pane, [399.5, 199.5]), [812, 512]);
  });

  it("go to the screen and back", () => {
    const pane = picturePane(zoomAt(fit([384, 288], 900, 700), 300, 200, 3.7), 900, 700);
    for (const voxel of [[0, 0], [383, 287], [12.25, 200.5]]) close(toVoxel(pane, ...toScreen(pane, voxel)), voxel);
  });

  it("zoom about the cursor", () => {
    const before = picturePane(fit([384, 288], 900, 700), 900, 700);
    const after = picturePane(zoomAt(fit([384, 288], 900, 700), 250, 333, 2), 900, 700);
    close(toVoxel(after, 250, 333), toVoxel(before, 250, 333));
    expect(after.scale[0]).toBeCloseTo(before.scale[0] * 2);
  });

  it("zoom no further than the limits, and do not move there", () => {
    const most = zoomAt({ scale: 80, left: 5, top: 6 }, 100, 100, 4);
    expect(most).toEqual({ scale: 80, left: 5, top: 6 });
  });
});

describe("planes of a volume", () => {
  const space = { size: [10, 20, 30], first: [0, 0, 0], last: [10, 40, 90], at: [4, 5, 6], ratio: 2 };

  it("map an axial tile with y upwards", () => {
    const pane = tilePane({ axCorSag: AXIAL, leftTopWidthHeight: [100, 40, 200, 800], leftTopMM: [0, 0], fovMM: [10, 40] }, space)!;
    expect(pane.plane).toBe("z");
    expect(pane.slice).toBe(6);
    expect(pane.rect).toEqual({ left: 50, top: 20, width: 100, height: 400 });
    close(toScreen(pane, [-0.5, -0.5, 6]), [50, 420]);
    close(toScreen(pane, [9.5, 19.5, 6]), [150, 20]);
  });

  it("map a tile that shows the patient's right on the left", () => {
    const pane = tilePane({ axCorSag: CORONAL, leftTopWidthHeight: [0, 0, 200, 600], leftTopMM: [10, 0], fovMM: [-10, 90] }, space)!;
    close(toScreen(pane, [-0.5, 5, -0.5]), [100, 300]);
    close(toScreen(pane, [9.5, 5, 29.5]), [0, 0]);
  });

  it("map a tile that is given as mirrored by its width", () => {
    const pane = tilePane({ axCorSag: CORONAL, leftTopWidthHeight: [200, 0, -200, 600], leftTopMM: [0, 0], fovMM: [10, 90] }, space)!;
    expect(pane.rect).toEqual({ left: 0, top: 0, width: 100, height: 300 });
    close(toScreen(pane, [-0.5, 5, -0.5]), [100, 300]);
    close(toScreen(pane, [9.5, 5, 29.5]), [0, 0]);
  });

  it("go to the screen and back, keeping the slice", () => {
    for (const axCorSag of [AXIAL, CORONAL, SAGITTAL]) {
      const pane = tilePane({ axCorSag, leftTopWidthHeight: [31, 17, 333, 222], leftTopMM: [3, 2], fovMM: [7, 11] }, space)!;
      const voxel = [4, 5, 6];
      close(toVoxel(pane, ...toScreen(pane, voxel)), voxel);
    }
  });

  it("leave the render out", () => {
    expect(tilePane({ axCorSag: RENDER, leftTopWidthHeight: [0, 0, 1, 1], leftTopMM: [0, 0], fovMM: [1, 1] }, space)).toBeNull();
  });

  it.each(["all", "flat", "x", "y", "z", "3d"] as const)("the layout %s stays inside and does not overlap", (layout) => {
    const tiles = arrange(layout).map((tile) => tile.position);
    for (const [x, y, w, h] of tiles) {
      expect(x + w).toBeLessThanOrEqual(1.0001);
      expect(y + h).toBeLessThanOrEqual(1.0001);
    }
    tiles.forEach(([ax, ay, aw, ah], i) =>
      tiles.slice(i + 1).forEach(([bx, by, bw, bh]) => {
        const apart = ax + aw <= bx + 1e-9 || bx + bw <= ax + 1e-9 || ay + ah <= by + 1e-9 || by + bh <= ay + 1e-9;
        expect(apart).toBe(true);
      }),
    );
  });

  it("finds the pane under the cursor", () => {
    const pane = (left: number): Pane => ({ plane: "z", axes: [0, 1], slice: 0, rect: { left, top: 0, width: 10, height: 10 }, scale: [1, 1], offset: [0, 0] });
    const panes = [pane(0), pane(20)];
    expect(paneAt(panes, 25, 5)).toBe(panes[1]);
    expect(paneAt(panes, 15, 5)).toBeNull();
  });
});

describe("boxes and positions", () => {
  it("order the corners and stay on the image", () => {
    expect(normaliseBox([50.123, -7], [10, 500], [40, 30])).toEqual({ low: [10, 0], high: [39, 29] });
  });

  it("keep a slice in volumes", () => {
    expect(normaliseBox([5, 9, 3], [2, 4, 3], [10, 10, 10])).toEqual({ low: [2, 4, 3], high: [5, 9, 3] });
  });

  it("clamp to sample centres", () => {
    expect(clampVoxel([-0.4, 9.4], [10, 10])).toEqual([0, 9]);
  });

  it("count the outer half samples as inside", () => {
    expect(inside([-0.5, 9.49], [10, 10])).toBe(true);
    expect(inside([-0.51, 5], [10, 10])).toBe(false);
    expect(inside([5, 9.5], [10, 10])).toBe(false);
  });

  it("round to two decimals without a negative zero", () => {
    expect(tidy([1.23456, -0.001])).toEqual([1.23, 0]);
  });

  it("thin a path but keep its ends", () => {
    const path = [[0, 0], [0.1, 0], [0.2, 0], [5, 0], [5.1, 0]];
    expect(thin(path, 1)).toEqual([[0, 0], [5, 0], [5.1, 0]]);
    expect(thin([[1, 1]], 1)).toEqual([[1, 1]]);
  });
});
