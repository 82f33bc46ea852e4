/** The two programs that draw the fleet: trails as soft ribbons, markers as signed-distance shapes. */

/**
 * Places are given relative to an anchor, because single precision cannot hold a mercator coordinate to the
 * centimetre; `u_shift` (anchor minus map centre, computed in double) brings them to the screen.
 */
const PROJECT = `
uniform vec2 u_shift;
uniform float u_world_px;
uniform vec2 u_view_px;
uniform float u_now_s;
vec2 clip(vec2 place) {
  vec2 px = (place + u_shift) * u_world_px;
  return vec2(px.x, -px.y) * 2.0 / u_view_px;
}
float part(vec2 span) {
  return span.y <= span.x ? 1.0 : clamp((u_now_s - span.x) / (span.y - span.x), 0.0, 1.0);
}`;

export const MARKER_VERTEX = `#version 300 es
precision highp float;
${PROJECT}
in vec4 a_path;      // from, to
in vec2 a_glide_s;   // start, end
in vec2 a_life_s;    // born, gone
in vec4 a_dress;     // kind, look, level, selected
uniform float u_size_px;
uniform float u_ratio;
uniform float u_fade_s;
flat out vec4 v_dress;
flat out float v_radius;
flat out float v_half;
flat out float v_shown;
void main() {
  gl_Position = vec4(clip(mix(a_path.xy, a_path.zw, part(a_glide_s))), 0.0, 1.0);
  float shown = smoothstep(0.0, u_fade_s, u_now_s - a_life_s.x) * (1.0 - smoothstep(0.0, u_fade_s, u_now_s - a_life_s.y));
  float big = a_dress.x > 0.5 ? 1.12 : 1.0;
  v_radius = u_size_px * 0.5 * big * mix(0.4, 1.0, shown) * (a_dress.w > 0.5 ? 1.2 : 1.0);
  v_half = v_radius * 1.3 + 5.0 + (a_dress.w > 0.5 ? 5.0 : 0.0);
  v_shown = shown;
  v_dress = a_dress;
  gl_PointSize = v_half * 2.0 * u_ratio;
}`;

export const MARKER_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 u_looks[6];
uniform vec3 u_rim;
uniform vec3 u_ink;
uniform float u_shadow;
uniform float u_size_px;
uniform float u_ratio;
uniform sampler2D u_glyphs;
flat in vec4 v_dress;
flat in float v_radius;
flat in float v_half;
flat in float v_shown;
out vec4 colour;

float box(vec2 p, float half_side, float corner) {
  vec2 d = abs(p) - half_side + corner;
  return length(max(d, 0.0)) + min(max(d.x, d.y), 0.0) - corner;
}
float hexagon(vec2 p, float r) {
  const vec3 k = vec3(-0.866025404, 0.5, 0.577350269);
  p = abs(p.yx);
  p -= 2.0 * min(dot(k.xy, p), 0.0) * k.xy;
  p -= vec2(clamp(p.x, -k.z * r, k.z * r), r);
  return length(p) * sign(p.y);
}
float shape(vec2 p, float r) {
  if (v_dress.x < 0.5) return length(p) - r;
  if (v_dress.x < 1.5) return box(p, r * 0.92, r * 0.34);
  return hexagon(p, r * 0.92) - r * 0.06;
}
vec4 over(vec4 top, vec4 under) { return top + under * (1.0 - top.a); }

void main() {
  vec2 p = (gl_PointCoord * 2.0 - 1.0) * v_half;
  float soft = 0.75 / u_ratio;
  float d = shape(p, v_radius);
  vec3 look = u_looks[int(v_dress.y + 0.5)];
  vec3 rim = mix(u_rim, look, v_radius < 5.0 ? 0.35 : 0.0);
  float rim_px = clamp(v_radius * 0.16, 0.6, 2.0);

  // Wheels need more room than a bolt or doors before they are more than a smudge.
  float glyph_from_px = v_dress.x < 0.5 ? 19.5 : 13.0;
  float glyph_shown = clamp((u_size_px - glyph_from_px) * 0.25, 0.0, 1.0);
  float inside = 1.0 - smoothstep(-soft, soft, d + rim_px);
  float whole = 1.0 - smoothstep(-soft, soft, d);
  // The part that is taken is dimmed from the top, like a gauge; only big markers have room for it.
  float height = 1.0 - (p.y / v_radius + 1.0) * 0.5;
  float taken = glyph_shown * smoothstep(v_dress.z - 0.02, v_dress.z + 0.02, height);
  vec3 body = mix(look, mix(look, u_rim, 0.42), taken);
  vec2 at = p / (v_radius * 0.84) * 0.5 + 0.5;
  float glyph = 0.0;
  if (glyph_shown > 0.0 && all(greaterThan(at, vec2(0.0))) && all(lessThan(at, vec2(1.0)))) {
    glyph = texture(u_glyphs, vec2((at.x + v_dress.x) / 3.0, at.y)).a * glyph_shown;
  }
  body = mix(body, u_ink, glyph);

  vec4 shade = vec4(0.0, 0.0, 0.0, u_shadow * (1.0 - smoothstep(-2.0, 4.0, shape(p - vec2(0.0, 1.5), v_radius))));
  vec4 drawn = over(vec4(mix(rim, body, inside), 1.0) * whole, shade);
  if (v_dress.w > 0.5) {
    float ring = 1.0 - smoothstep(0.0, soft * 2.0, abs(d - 4.5) - 1.3);
    drawn = over(vec4(look, 1.0) * ring, drawn);
  }
  float faded = v_dress.y > 4.5 ? 0.72 : 1.0;
  colour = drawn * v_shown * faded;
}`;

export const TRAIL_VERTEX = `#version 300 es
precision highp float;
${PROJECT}
in vec2 a_tail;
in vec4 a_path;      // head from, head to
in vec2 a_glide_s;
in vec2 a_age_s;     // when the tail and the head were passed
in float a_look;
uniform float u_width_px;
uniform float u_trail_s;
flat out float v_look;
out float v_fresh;
out float v_side;
void main() {
  float end = float(gl_VertexID & 1);
  float side = gl_VertexID < 2 ? -1.0 : 1.0;
  vec2 head = mix(a_path.xy, a_path.zw, part(a_glide_s));
  vec2 way = head - a_tail;
  float far = length(way);
  vec2 across = far > 0.0 ? vec2(-way.y, way.x) / far : vec2(0.0);
  vec2 place = mix(a_tail, head, end);
  gl_Position = vec4(clip(place) + vec2(across.x, -across.y) * side * u_width_px * 2.0 / u_view_px, 0.0, 1.0);
  v_fresh = clamp(1.0 - (u_now_s - mix(a_age_s.x, a_age_s.y, end)) / u_trail_s, 0.0, 1.0);
  v_side = side;
  v_look = a_look;
}`;

export const TRAIL_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 u_looks[6];
uniform float u_strength;
flat in float v_look;
in float v_fresh;
in float v_side;
out vec4 colour;
void main() {
  float alpha = u_strength * v_fresh * v_fresh * (1.0 - v_side * v_side);
  colour = vec4(u_looks[int(v_look + 0.5)], 1.0) * alpha;
}`;
