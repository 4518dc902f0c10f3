// Drawing many points: WebGL where there is one, else pixel by pixel on a plain canvas.

const VERTEX = `#version 300 es
in vec2 place; in float code; in float mark;
uniform vec2 scale, middle; uniform float size; uniform float pass; uniform sampler2D palette;
out vec4 colour;
void main() {
  float shown = mod(mark, 2.0), picked = floor(mark / 2.0);
  float mine = picked > 0.5 ? 2.0 : shown;
  gl_Position = mine == pass ? vec4((place - middle) * scale, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size * (pass > 1.5 ? 1.5 : pass > 0.5 ? 1.0 : 0.8);
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

/** A drawer of points on a canvas: `set` what they are, then `draw` from where one looks. */
export function pointsOn(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, alpha: true });
  return gl ? new WebGl(gl) : new Plain(canvas);
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

  /** places: Float32Array (2n); codes, marks: Uint8Array (n); palette: Uint8Array (4 x 256). Any may be left out. */
  set({ places, codes, marks, palette }) {
    const gl = this.gl;
    if (places) {
      this.count = places.length / 2;
      this.#put("place", places, 2, gl.FLOAT);
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

  /** scale: [x, y] clip units a unit of the map; middle: [x, y] of the map at the middle; size in device pixels. */
  draw({ scale, middle, size }) {
    const gl = this.gl;
    const at = (name) => gl.getUniformLocation(this.program, name);
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(at("scale"), ...scale);
    gl.uniform2f(at("middle"), ...middle);
    gl.uniform1f(at("size"), size);
    for (const pass of this.passes) {
      gl.uniform1f(at("pass"), pass);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }
  }

  passes = [0, 1, 2];
}

class Plain {
  kind = "canvas";
  passes = [0, 1, 2];

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.now = {};
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) if (value) this.now[name] = value;
  }

  draw({ scale, middle, size }) {
    const { width, height } = this.canvas;
    const { places, codes, marks, palette } = this.now;
    if (!places || !codes || !marks || !palette || !width || !height) return;
    const image = this.context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const tones = new Uint32Array(palette.buffer);
    for (const pass of this.passes) {
      const edge = Math.max(1, Math.round(size * (pass === 2 ? 1.1 : 0.75)));
      for (let i = 0; i < codes.length; i++) {
        if ((marks[i] > 1 ? 2 : marks[i]) !== pass) continue;
        const x = Math.round((((places[2 * i] - middle[0]) * scale[0] + 1) / 2) * width - edge / 2);
        const y = Math.round(((1 - (places[2 * i + 1] - middle[1]) * scale[1]) / 2) * height - edge / 2);
        if (x < 0 || y < 0 || x + edge > width || y + edge > height) continue;
        const tone = pass ? tones[codes[i]] : 0x28808080;
        for (let down = y; down < y + edge; down++) pixels.fill(tone, down * width + x, down * width + x + edge);
      }
    }
    this.context.putImageData(image, 0, 0);
  }
}
