/** One WebGL program with one interleaved buffer. */

export type Rgb = readonly [number, number, number];

export class Batch {
  private readonly program: WebGLProgram;
  private readonly vertices: WebGLVertexArrayObject;
  private readonly buffer: WebGLBuffer;
  private readonly places = new Map<string, WebGLUniformLocation | null>();
  private glyphs: WebGLTexture | null = null;
  private count = 0;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    vertex: string,
    fragment: string,
    private readonly floats: number,
    attributes: readonly (readonly [string, number])[],
    private readonly ribbons: boolean,
  ) {
    this.program = link(gl, vertex, fragment);
    this.vertices = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    let offset = 0;
    for (const [name, size] of attributes) {
      const place = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, gl.FLOAT, false, floats * 4, offset * 4);
      if (ribbons) gl.vertexAttribDivisor(place, 1);
      offset += size;
    }
    gl.bindVertexArray(null);
  }

  texture(canvas: HTMLCanvasElement): void {
    const { gl } = this;
    this.glyphs = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.glyphs);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, canvas);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  upload(values: Float32Array): void {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    this.count = values.length / this.floats;
  }

  use(): void {
    const { gl } = this;
    gl.useProgram(this.program);
    gl.bindVertexArray(this.vertices);
    gl.activeTexture(gl.TEXTURE0);
    if (this.glyphs !== null) gl.bindTexture(gl.TEXTURE_2D, this.glyphs);
  }

  draw(): void {
    if (this.count === 0) return;
    if (this.ribbons) this.gl.drawArraysInstanced(this.gl.TRIANGLE_STRIP, 0, 4, this.count);
    else this.gl.drawArrays(this.gl.POINTS, 0, this.count);
  }

  set1(name: string, value: number): void {
    this.gl.uniform1f(this.place(name), value);
  }

  set2(name: string, value: readonly [number, number]): void {
    this.gl.uniform2f(this.place(name), ...value);
  }

  set3(name: string, value: Rgb): void {
    this.gl.uniform3f(this.place(name), ...value);
  }

  setLooks(values: readonly number[]): void {
    this.gl.uniform3fv(this.place("u_looks"), values);
  }

  private place(name: string): WebGLUniformLocation | null {
    const known = this.places.get(name);
    if (known !== undefined) return known;
    const place = this.gl.getUniformLocation(this.program, name);
    this.places.set(name, place);
    return place;
  }
}

function link(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(type);
    if (shader === null) throw new Error("The graphics context was lost.");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(program);
  if (gl.getProgramParameter(program, gl.LINK_STATUS) !== true) {
    throw new Error(`The map's drawing program was refused: ${gl.getProgramInfoLog(program) ?? "no reason given"}`);
  }
  return program;
}
