// Draws many points: with WebGL if there is a graphics card, otherwise pixel by pixel on a plain canvas.

/** Marks of points, which are drawn in this order: left out, without a value of their own, shown, picked. */
export const PASSES = [0, 1, 2, 3];

const VERTEX = `#version 300 es
in vec2 position; in float code; in float mark;
uniform vec2 scale, middle; uniform float size; uniform float pass; uniform sampler2D palette;
out vec4 colour;
void main() {
  gl_Position = mark == pass ? vec4((position - middle) * scale, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size * (pass == 3.0 ? 1.5 : pass == 0.0 ? 0.8 : 1.0);
  vec4 tone = texelFetch(palette, ivec2(int(code), 0), 0);
  colour = pass > 0.5 ? tone : vec4(0.5, 0.5, 0.5, 0.16);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour; out vec4 ink;
void main() {
  float far = length(gl_PointCoord - 0.5) * 2.0;
  float alpha = colour.a * (1.0 - smoothstep(0.72, 1.0, far));
  ink = vec4(colour.rgb * alpha, alpha);
}`;

/** Draws points on a canvas: `set` their data, then `draw` a view. */
export function pointsOn(canvas) {
  return hasCard() ? new WebGl(canvas.getContext("webgl2", OPTIONS)) : new Plain(canvas);
}

const OPTIONS = { antialias: false, premultipliedAlpha: true, failIfMajorPerformanceCaveat: true };

/** Whether a graphics card renders WebGL: with software rendering, pixel by pixel is five times as fast. */
function hasCard() {
  const gl = document.createElement("canvas").getContext("webgl2", OPTIONS);
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl ? String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER)) : "none";
  return Boolean(gl) && !/swiftshader|llvmpipe|software|basic render/i.test(name);
}

class WebGl {
  kind = "webgl";

  constructor(gl) {
    this.gl = gl;
    const program = (this.program = gl.createProgram());
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.count = 0;
    this.buffers = {};
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  }

  /** coordinates: Float32Array (2n); codes, marks: Uint8Array (n); palette: Uint8Array (4 x 256). Any may be left out. */
  set({ coordinates, codes, marks, palette }) {
    const gl = this.gl;
    if (coordinates) {
      this.count = coordinates.length / 2;
      this.#put("position", coordinates, 2, gl.FLOAT);
    }
    if (codes) this.#put("code", codes, 1, gl.UNSIGNED_BYTE);
    if (marks) this.#put("mark", marks, 1, gl.UNSIGNED_BYTE);
    if (palette) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
  }

  #put(name, data, width, type) {
    const gl = this.gl;
    const at = gl.getAttribLocation(this.program, name);
    this.buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, type, false, 0, 0);
  }

  /** scale: [x, y] clip units per unit of the map; middle: [x, y] of the map at the middle; size in device pixels. */
  draw({ scale, middle, size }) {
    const gl = this.gl;
    const at = (name) => gl.getUniformLocation(this.program, name);
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(at("scale"), ...scale);
    gl.uniform2f(at("middle"), ...middle);
    gl.uniform1f(at("size"), size);
    for (const pass of PASSES) {
      gl.uniform1f(at("pass"), pass);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }
  }

}

class Plain {
  kind = "canvas";

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.now = {};
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) if (value) this.now[name] = value;
    if (values.marks) this.order = byMark(values.marks);
  }

  draw({ scale, middle, size }) {
    const { width, height } = this.canvas;
    const { coordinates, codes, marks, palette } = this.now;
    if (!coordinates || !codes || !marks || !palette || !width || !height) return;
    if (this.image?.width !== width || this.image?.height !== height) this.image = this.context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer).fill(0);
    const tones = new Uint32Array(palette.buffer);
    const stamps = [0.8, 1, 1, 1.5].map((part) => stamp(Math.max(1, size * part), width));
    const [sx, sy] = [(scale[0] * width) / 2, (scale[1] * height) / 2];
    const [ox, oy] = [width / 2 - middle[0] * sx, height / 2 + middle[1] * sy];
    for (const i of this.order) {
      const { edge, inner, rim } = stamps[marks[i]];
      const x = (coordinates[2 * i] * sx + ox - edge / 2 + 0.5) | 0;
      const y = (oy - coordinates[2 * i + 1] * sy - edge / 2 + 0.5) | 0;
      if (x < 0 || y < 0 || x + edge > width || y + edge > height) continue;
      const tone = marks[i] ? tones[codes[i]] : 0x28808080;
      const first = y * width + x;
      for (let k = 0; k < inner.length; k++) pixels[first + inner[k]] = tone;
      // Soft towards the ground; over other points the rim would cost more than it shows.
      for (let k = 0; k < rim.length; k += 2) {
        const at = first + rim[k];
        if (!pixels[at]) pixels[at] = (tone & 0xffffff) | ((((tone >>> 24) * rim[k + 1]) >> 8) << 24);
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}

/** Offsets of the pixels of a disc in a box of `edge`: inner ones, and those of its rim with their share of 256. */
function stamp(size, width) {
  const edge = Math.ceil(size), inner = [], rim = [];
  for (let y = 0; y < edge; y++) {
    for (let x = 0; x < edge; x++) {
      const far = Math.hypot(x + 0.5 - edge / 2, y + 0.5 - edge / 2);
      const share = Math.min(1, Math.max(0, size / 2 + 0.5 - far));
      if (share > 0.85 || edge < 3) inner.push(y * width + x);
      else if (share > 0.1) rim.push(y * width + x, Math.round(256 * share));
    }
  }
  return { edge, inner, rim };
}

/** Numbers of the points, in the order in which they are drawn. */
function byMark(marks) {
  const starts = new Uint32Array(PASSES.length + 1), order = new Uint32Array(marks.length);
  for (const mark of marks) starts[mark + 1]++;
  for (const pass of PASSES) starts[pass + 1] += starts[pass];
  for (let i = 0; i < marks.length; i++) order[starts[marks[i]]++] = i;
  return order;
}
