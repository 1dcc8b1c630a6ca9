import { describe, expect, it } from "vitest";
import { Api, refusal, Refused, sentence, Unreachable } from "../src/api.ts";

function server(answer: () => Response | Promise<Response>) {
  const calls: { path: string; options: RequestInit }[] = [];
  const api = new Api("k&y", async (path, options) => {
    calls.push({ path: String(path), options: options! });
    return answer();
  });
  return { api, calls };
}

describe("requests", () => {
  it("carry the token and JSON", async () => {
    const { api, calls } = server(() => Response.json({ revision: 2 }));
    await api.act("s1", { do: "click", at: [1, 2], positive: true });
    expect(calls[0]!.path).toBe("/api/sessions/s1/actions");
    expect(calls[0]!.options.method).toBe("POST");
    expect((calls[0]!.options.headers as Record<string, string>)["X-Promisam-Token"]).toBe("k&y");
    expect(JSON.parse(String(calls[0]!.options.body))).toEqual({ do: "click", at: [1, 2], positive: true });
  });

  it("escape names with folders, and the token in addresses of pictures", async () => {
    const { api, calls } = server(() => new Response(new Uint8Array(3)));
    await api.picture("a b/ä#1", -5, 80.5);
    expect(calls[0]!.path).toBe("/api/images/a%20b%2F%C3%A4%231/picture?low=-5&high=80.5");
    expect(api.thumbnail("x/y")).toBe("/api/images/x%2Fy/thumbnail?token=k%26y");
  });

  it("know a session without an image", async () => {
    expect(await server(() => Response.json({ image: null })).api.session("s")).toBeNull();
  });

  it("take labels in either form", async () => {
    const labels = [{ value: 1, name: "a", colour: "#fff" }];
    expect(await server(() => Response.json(labels)).api.setLabels(labels)).toEqual(labels);
    expect(await server(() => Response.json({ labels })).api.setLabels(labels)).toEqual(labels);
  });

  it("tell a lost server from one that refuses", async () => {
    const lost = server(() => Promise.reject(new TypeError("Failed to fetch"))).api;
    await expect(lost.jobs()).rejects.toBeInstanceOf(Unreachable);
    const broken = server(() => new Response("{", { status: 200 })).api;
    await expect(broken.jobs()).rejects.toBeInstanceOf(Unreachable);
    const refusing = server(() => Response.json({ error: { text: "no", given: "", expected: "", do: "" } }, { status: 409 })).api;
    await expect(refusing.jobs()).rejects.toMatchObject({ status: 409, message: "No." });
  });
});

describe("refusals", () => {
  it("say what was given, expected and what to do", () => {
    const said = refusal(400, { error: { text: "The label is unknown", given: "7", expected: "1 to 3", do: "Add the label first." } });
    expect(said).toBeInstanceOf(Refused);
    expect(said.message).toBe("The label is unknown. Given: 7. Expected: 1 to 3. Add the label first.");
  });

  it("repeat nothing that the sentence says", () => {
    const error = { text: "nothing to follow; expected an object. Click on one first.", given: "nothing to follow", expected: "an object", do: "Click on one first." };
    expect(refusal(400, { error }).message).toBe("Nothing to follow; expected an object. Click on one first.");
  });

  it("stay readable in any shape", () => {
    expect(refusal(401, null).message).toContain("key in this address");
    expect(refusal(500, "oops").message).toContain("500");
    expect(refusal(422, { error: "bad" }).message).toContain("422");
  });

  it("make sentences", () => {
    expect(sentence("5 images chosen")).toBe("5 images chosen.");
    expect(sentence("done!")).toBe("Done!");
    expect(sentence("no image is left")).toBe("No image is left.");
    expect(sentence("sam_mpa-1 learned from 2 images")).toBe("sam_mpa-1 learned from 2 images.");
  });
});
