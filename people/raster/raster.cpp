// Draws textured triangles. One thread, no dependencies, no fused or reordered arithmetic: raster/reference.py states the same sums in NumPy,
// in the same order, so that both give the same picture. Camera space: x right, y up, z towards the viewer; seen points have z < 0.
// Pixel centres lie at integers. Powers are by squaring, and curves of colour come in as tables: no function of the C library is asked for a rounding.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// Columns of the materials' table; raster/scene.py has the same list.
enum { TINT, SPECULAR = 3, GLOSS, WRAP, SCATTER, STRANDS, CASTS, TWO_SIDED, CUT_OUT, COLUMNS };
// Rows of the light's table, three values each.
enum { KEY, KEY_RGB, FILL, FILL_RGB, RIM, RIM_RGB, SKY, GROUND };
// Transparency by pattern: which share of a surface's samples is drawn, in a 4 x 4 ordered grid.
const float GRID[16] = {0.5f, 8.5f, 2.5f, 10.5f, 12.5f, 4.5f, 14.5f, 6.5f, 3.5f, 11.5f, 1.5f, 9.5f, 15.5f, 7.5f, 13.5f, 5.5f};
const int ATTRIBUTES = 12;  // normal, position, tangent, u, v, shade

struct Texture {
  const uint8_t* texels;
  int width, height;
};

struct Taps {
  const uint8_t *p00, *p01, *p10, *p11;
  float w00, w01, w10, w11;
};

// std::floor without a call: the oldest processors of this kind have no instruction for it. For values that an int32 holds.
inline float floor_of(float x) {
  float t = (float)(int)x;
  return t > x ? t - 1 : t;
}

inline Taps taps(const Texture& t, float u, float v) {
  float x = u * t.width - 0.5f, y = v * t.height - 0.5f, fx = floor_of(x), fy = floor_of(y);
  int x0 = (int)fx, y0 = (int)fy;
  fx = x - fx;
  fy = y - fy;
  int xa = std::min(std::max(x0, 0), t.width - 1), xb = std::min(std::max(x0 + 1, 0), t.width - 1);
  int ya = std::min(std::max(y0, 0), t.height - 1), yb = std::min(std::max(y0 + 1, 0), t.height - 1);
  return {t.texels + 4 * (ya * t.width + xa), t.texels + 4 * (ya * t.width + xb), t.texels + 4 * (yb * t.width + xa),
          t.texels + 4 * (yb * t.width + xb), (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy};
}

inline float alpha_of(const Texture& t, float u, float v) {
  Taps k = taps(t, u, v);
  return (k.w00 * k.p00[3] + k.w01 * k.p01[3] + k.w10 * k.p10[3] + k.w11 * k.p11[3]) * (1 / 255.0f);
}

// Of strands, whose texture is finer than a sample: the nearest texel.
inline float nearest_alpha(const Texture& t, float u, float v) {
  int x = std::min(std::max((int)floor_of(u * t.width), 0), t.width - 1), y = std::min(std::max((int)floor_of(v * t.height), 0), t.height - 1);
  return t.texels[4 * (y * t.width + x) + 3] * (1 / 255.0f);
}

inline float alpha_at(const Texture& t, bool strands, float u, float v) { return strands ? nearest_alpha(t, u, v) : alpha_of(t, u, v); }

inline float dot(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

// Calls visit(x, y, a, b, c) for every grid point inside the triangle, edges included. `front`: -1 keeps those that turn clockwise on a
// grid whose y runs down (seen from their front), +1 the others, 0 both.
template <class Visit>
inline void cover(float x0, float y0, float x1, float y1, float x2, float y2, int width, int height, int front, Visit&& visit) {
  float low_x = std::min(x0, std::min(x1, x2)), high_x = std::max(x0, std::max(x1, x2));
  float low_y = std::min(y0, std::min(y1, y2)), high_y = std::max(y0, std::max(y1, y2));
  if (!(low_x <= width && high_x >= 0 && low_y <= height && high_y >= 0)) return;
  int left = low_x <= 0 ? 0 : -(int)floor_of(-low_x), right = high_x >= width - 1 ? width - 1 : (int)floor_of(high_x);
  int top = low_y <= 0 ? 0 : -(int)floor_of(-low_y), bottom = high_y >= height - 1 ? height - 1 : (int)floor_of(high_y);
  if (left > right || top > bottom) return;
  float area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0);
  if (front * area < 0 || std::fabs(area) < 1e-9f) return;
  float inverse = 1 / area;
  const float ex[4] = {x0, x1, x2, x0}, ey[4] = {y0, y1, y2, y0};
  const bool wide = right - left > 3;
  float slope[3] = {0, 0, 0};
  if (wide)
    for (int k = 0; k < 3; k++) slope[k] = ey[k] == ey[k + 1] ? 0 : (ex[k + 1] - ex[k]) / (ey[k + 1] - ey[k]);
  for (int iy = top; iy <= bottom; iy++) {
    float y = (float)iy;
    int from = left, to = right;
    if (wide) {  // where the row enters and leaves the triangle, and a point to each side; who is inside is decided below
      float low = high_x, high = low_x;
      for (int k = 0; k < 3; k++) {
        float y_low = std::min(ey[k], ey[k + 1]), y_high = std::max(ey[k], ey[k + 1]);
        if (y < y_low - 0.01f || y > y_high + 0.01f) continue;
        float at = ex[k] + (std::min(y_high, std::max(y_low, y)) - ey[k]) * slope[k], other = y_low == y_high ? ex[k + 1] : at;
        low = std::min(low, std::min(at, other));
        high = std::max(high, std::max(at, other));
      }
      if (low > from) from = std::max(from, (int)low - 1);
      if (high < to) to = std::min(to, (int)high + 2);
    }
    for (int ix = from; ix <= to; ix++) {
      float x = (float)ix;
      float a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * inverse;
      float b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * inverse;
      float c = 1 - a - b;
      if (a < 0 || b < 0 || c < 0) continue;
      visit(ix, iy, a, b, c);
    }
  }
}

inline float squared(float value, int times) {
  for (int i = 0; i < times; i++) value *= value;
  return value;
}

struct Shadow {
  const float *map, *axes;  // axes: right, up, towards the light
  float left, bottom, scale, bias;
  int size;

  // Share of 3 x 3 neighbouring lookups, each bilinear, that the light reaches.
  float operator()(const float* p) const {
    if (size == 0) return 1;
    float x = (dot(axes, p) - left) * scale, y = (dot(axes + 3, p) - bottom) * scale, z = dot(axes + 6, p) + bias;
    if (!(x >= 1 && y >= 1 && x < size && y < size)) return 1;
    float fx = floor_of(x), fy = floor_of(y);
    if (!(fx + 2 < size && fy + 2 < size)) return 1;
    int x0 = (int)fx, y0 = (int)fy;
    fx = x - fx;
    fy = y - fy;
    const float wx[4] = {1 - fx, 1, 1, fx}, wy[4] = {1 - fy, 1, 1, fy};
    float sum = 0;
    for (int j = 0; j < 4; j++) {
      const float* row = map + (size_t)(y0 - 1 + j) * size + x0 - 1;
      sum += wy[j] * ((row[0] <= z) * wx[0] + (row[1] <= z) * wx[1] + (row[2] <= z) * wx[2] + (row[3] <= z) * wx[3]);
    }
    return sum * (1 / 9.0f);
  }
};

// Linear light of one surface point. attributes: mean normal, position, tangent, u, v, shade.
inline void shade(const float* at, const float* material, const Texture& texture, const float* linear, const float* light, const Shadow& shadow, float* out) {
  float length = std::sqrt(dot(at, at));
  float grow = 1 / std::max(1e-9f, length);
  float n[3] = {at[0] * grow, at[1] * grow, at[2] * grow};
  const float* p = at + 3;
  grow = -1 / std::sqrt(dot(p, p));
  float view[3] = {p[0] * grow, p[1] * grow, p[2] * grow};
  float facing = dot(n, view);
  if (facing < 0) {
    n[0] = -n[0], n[1] = -n[1], n[2] = -n[2];
    facing = -facing;
  }
  facing = std::min(1.0f, facing);
  Taps k = taps(texture, at[9], at[10]);
  float lit = dot(n, light + 3 * KEY), filled = dot(n, light + 3 * FILL), rimmed = dot(n, light + 3 * RIM);
  float reached = shadow(p);
  float half[3] = {light[0] + view[0], light[1] + view[1], light[2] + view[2]};
  grow = 1 / std::max(1e-9f, std::sqrt(dot(half, half)));
  float grazing = 1 - facing, grazing2 = grazing * grazing;
  float fresnel = 0.04f + 0.96f * (grazing2 * grazing2 * grazing);
  int gloss = (int)material[GLOSS];
  float soft = 1, gleam;
  if (material[STRANDS] > 0) {  // Kajiya and Kay 1989: light along a strand is spread around it
    const float* t = at + 6;
    float along = dot(t, light), across = std::sqrt(std::max(0.0f, 1 - along * along));
    float bent = dot(t, half) * grow, gleaming = std::sqrt(std::max(0.0f, 1 - bent * bent));
    soft = 0.4f + 0.6f * across;
    gleam = material[SPECULAR] * squared(gleaming, gloss) * std::max(0.0f, 0.25f + 0.75f * lit) * reached;
  } else {
    gleam = material[SPECULAR] * squared(std::max(0.0f, dot(n, half) * grow), gloss) * std::max(0.0f, lit) * reached * (0.5f + 4 * fresnel);
  }
  float edge = std::max(0.0f, rimmed) * grazing2, up = 0.5f + 0.5f * n[1], fill = std::max(0.0f, (filled + 0.3f) * (1 / 1.3f));
  const float spread[3] = {1.0f, 0.35f, 0.15f}, through[3] = {0.35f, 0.08f, 0.04f};
  for (int j = 0; j < 3; j++) {
    float texel = k.w00 * linear[k.p00[j]] + k.w01 * linear[k.p01[j]] + k.w10 * linear[k.p10[j]] + k.w11 * linear[k.p11[j]];
    float albedo = texel * material[TINT + j], wrap = material[WRAP] + spread[j] * material[SCATTER];
    float key = std::max(0.0f, (lit + wrap) / (1 + wrap)) * soft;
    float passed = reached + (1 - reached) * (through[j] * material[SCATTER]);
    float ambient = light[3 * GROUND + j] + (light[3 * SKY + j] - light[3 * GROUND + j]) * up;
    // What is hidden from the sky is not black: skin gives light back to skin, so red falls off last.
    float hidden = at[11] + (1 - at[11]) * (through[j] * material[SCATTER]);
    float received = key * passed * light[3 * KEY_RGB + j] * (0.5f + 0.5f * hidden) + hidden * (fill * light[3 * FILL_RGB + j] + ambient);
    out[j] = albedo * received + at[11] * (gleam * light[3 * KEY_RGB + j] + edge * light[3 * RIM_RGB + j] * (0.3f + albedo));
  }
}

}  // namespace

extern "C" {

// Linear blend skinning: rest (n, 3), four bones and weights a vertex, matrices (bones, 3, 4) -> out (n, 3). `turn` 1 rotates only.
void skin(const float* rest, const int32_t* bones, const float* weights, const float* matrices, int32_t n, int32_t turn, float* out) {
  for (int32_t i = 0; i < n; i++) {
    float m[12] = {0};
    for (int k = 0; k < 4; k++) {
      const float weight = weights[4 * i + k], *b = matrices + 12 * bones[4 * i + k];
      for (int j = 0; j < 12; j++) m[j] += weight * b[j];
    }
    const float* p = rest + 3 * i;
    for (int r = 0; r < 3; r++) {
      float value = m[4 * r] * p[0] + m[4 * r + 1] * p[1] + m[4 * r + 2] * p[2];
      out[3 * i + r] = turn ? value : value + m[4 * r + 3];
    }
  }
}

// Sums of the triangles' normals at their corners, to length 1: out (n, 3).
void normals(const float* v, int32_t n, const int32_t* triangles, int32_t count, float* out) {
  std::fill(out, out + 3 * (size_t)n, 0.0f);
  for (int32_t t = 0; t < count; t++) {
    const int32_t* q = triangles + 3 * t;
    const float *a = v + 3 * q[0], *b = v + 3 * q[1], *c = v + 3 * q[2];
    float e[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]}, f[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
    float g[3] = {e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]};
    for (int k = 0; k < 3; k++)
      for (int j = 0; j < 3; j++) out[3 * q[k] + j] += g[j];
  }
  for (int32_t i = 0; i < n; i++) {
    float* p = out + 3 * i;
    float grow = 1 / std::max(1e-12f, std::sqrt(dot(p, p)));
    for (int j = 0; j < 3; j++) p[j] *= grow;
  }
}

// What the key light meets first, over a square grid: positions (n, 3) along axes (right, up, towards the light), from (left, bottom) on, `scale`
// cells a unit; map (size, size) of the greatest coordinate towards the light, -1e9 where nothing is. Cut-out materials leave out what their
// texture does not cover.
void depth_map(const float* position, int32_t vertices, const float* axes, const float* frame, const float* uv, const int32_t* triangles,
               const uint8_t* material_of, int32_t count, const float* materials, const int32_t* textures, const uint8_t* texels, int32_t size, float* map) {
  std::vector<float> xyz((size_t)3 * vertices);
  for (int32_t i = 0; i < vertices; i++) {
    const float* p = position + 3 * i;
    xyz[3 * i] = (dot(axes, p) - frame[0]) * frame[2];
    xyz[3 * i + 1] = (dot(axes + 3, p) - frame[1]) * frame[2];
    xyz[3 * i + 2] = dot(axes + 6, p);
  }
  std::fill(map, map + (size_t)size * size, -1e9f);
  for (int32_t t = 0; t < count; t++) {
    const float* material = materials + COLUMNS * material_of[t];
    if (!(material[CASTS] > 0)) continue;
    const int32_t *q = triangles + 3 * t, *where = textures + 3 * material_of[t];
    const float *p0 = &xyz[3 * q[0]], *p1 = &xyz[3 * q[1]], *p2 = &xyz[3 * q[2]];
    const float *u0 = uv + 2 * q[0], *u1 = uv + 2 * q[1], *u2 = uv + 2 * q[2];
    const Texture texture{texels + where[0], where[1], where[2]};
    const bool strands = material[STRANDS] > 0;
    cover(p0[0], p0[1], p1[0], p1[1], p2[0], p2[1], size, size, 0, [&](int x, int y, float a, float b, float c) {
      float z = a * p0[2] + b * p1[2] + c * p2[2], *cell = map + (size_t)y * size + x;
      if (z <= *cell) return;
      if (material[CUT_OUT] > 0 && alpha_at(texture, strands, a * u0[0] + b * u1[0] + c * u2[0], a * u0[1] + b * u1[1] + c * u2[1]) < 0.5f) return;
      *cell = z;
    });
  }
}

// Draws into rgb (height, width, 3) over `background` (height, width, 3; linear light). `kinds` (height, width): class of most samples of a
// pixel, of equals the lowest. `nearness` (height * samples, width * samples): 1 / distance of the surface, 0 where there is none.
void draw(const float* position, const float* normal, const float* tangent, const float* uv, const float* shades, int32_t vertices,
          const int32_t* triangles, const uint8_t* material_of, int32_t count, const float* materials, const int32_t* textures,
          const uint8_t* texels, const uint8_t* class_of, const float* linear, const uint8_t* curve, const float* light, const float* shadow_map,
          const float* shadow_axes, const float* shadow_frame, int32_t shadow_size, float focal, float centre_x, float centre_y, int32_t width,
          int32_t height, int32_t samples, const float* background, uint8_t* rgb, uint8_t* kinds, float* nearness, int32_t* front) {
  const int W = width * samples, H = height * samples;
  std::vector<float> px(vertices), py(vertices), pw(vertices), first((size_t)W * H), second((size_t)W * H);
  const float scale = focal * samples, shift = 0.5f * (samples - 1), x_at = centre_x * samples + shift, y_at = centre_y * samples + shift;
  for (int32_t i = 0; i < vertices; i++) {
    const float* p = position + 3 * i;
    float w = 1 / std::max(1e-3f, -p[2]);
    px[i] = scale * p[0] * w + x_at;
    py[i] = y_at - scale * p[1] * w;
    pw[i] = w;
  }
  std::fill(nearness, nearness + (size_t)W * H, 0.0f);
  std::fill(front, front + (size_t)W * H, -1);
  for (int32_t t = 0; t < count; t++) {
    const int m = material_of[t];
    const float* material = materials + COLUMNS * m;
    const int32_t *q = triangles + 3 * t, *where = textures + 3 * m;
    const float w0 = pw[q[0]], w1 = pw[q[1]], w2 = pw[q[2]];
    const float *u0 = uv + 2 * q[0], *u1 = uv + 2 * q[1], *u2 = uv + 2 * q[2];
    const Texture texture{texels + where[0], where[1], where[2]};
    const bool strands = material[STRANDS] > 0;
    cover(px[q[0]], py[q[0]], px[q[1]], py[q[1]], px[q[2]], py[q[2]], W, H, material[TWO_SIDED] > 0 ? 0 : -1, [&](int x, int y, float a, float b, float c) {
      const size_t i = (size_t)y * W + x;
      float w = a * w0 + b * w1 + c * w2;
      if (w <= nearness[i]) return;
      float pa = a * w0 / w, pb = b * w1 / w;
      if (material[CUT_OUT] > 0) {
        float pc = 1 - pa - pb, alpha = alpha_at(texture, strands, pa * u0[0] + pb * u1[0] + pc * u2[0], pa * u0[1] + pb * u1[1] + pc * u2[1]);
        if (alpha * 16 <= GRID[4 * (y & 3) + (x & 3)]) return;
      }
      nearness[i] = w;
      front[i] = t;
      first[i] = pa;
      second[i] = pb;
    });
  }
  const Shadow shadow{shadow_map, shadow_axes, shadow_frame[0], shadow_frame[1], shadow_frame[2], shadow_frame[3], shadow_size};
  const int per_pixel = samples * samples;
  std::vector<float> sums((size_t)per_pixel * ATTRIBUTES);
  std::vector<int> group_material(per_pixel), group_triangle(per_pixel), group_size(per_pixel);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      int groups = 0, empty = 0;
      for (int s = 0; s < per_pixel; s++) {
        const size_t i = (size_t)(y * samples + s / samples) * W + x * samples + s % samples;
        const int32_t t = front[i];
        if (t < 0) {
          empty++;
          continue;
        }
        const int m = material_of[t];
        int g = 0;
        const int32_t own = materials[COLUMNS * m + STRANDS] > 0 ? t : -1;  // strands of one pixel lie apart: each triangle is shaded for itself
        while (g < groups && (group_material[g] != m || group_triangle[g] != own)) g++;
        if (g == groups) {
          groups++;
          group_material[g] = m;
          group_triangle[g] = own;
          group_size[g] = 0;
          std::fill(&sums[g * ATTRIBUTES], &sums[g * ATTRIBUTES] + ATTRIBUTES, 0.0f);
        }
        group_size[g]++;
        const int32_t* q = triangles + 3 * t;
        const float a = first[i], b = second[i], c = 1 - a - b;
        float* sum = &sums[g * ATTRIBUTES];
        for (int j = 0; j < 3; j++) {
          sum[j] += a * normal[3 * q[0] + j] + b * normal[3 * q[1] + j] + c * normal[3 * q[2] + j];
          sum[3 + j] += a * position[3 * q[0] + j] + b * position[3 * q[1] + j] + c * position[3 * q[2] + j];
          sum[6 + j] += a * tangent[3 * q[0] + j] + b * tangent[3 * q[1] + j] + c * tangent[3 * q[2] + j];
        }
        for (int j = 0; j < 2; j++) sum[9 + j] += a * uv[2 * q[0] + j] + b * uv[2 * q[1] + j] + c * uv[2 * q[2] + j];
        sum[11] += a * shades[q[0]] + b * shades[q[1]] + c * shades[q[2]];
      }
      float colour[3] = {0, 0, 0};
      int most = empty, winner = 0;
      for (int g = 0; g < groups; g++) {
        const int m = group_material[g];
        float *sum = &sums[g * ATTRIBUTES], mean = 1 / (float)group_size[g], light_of[3];
        for (int j = 0; j < ATTRIBUTES; j++) sum[j] *= mean;
        shade(sum, materials + COLUMNS * m, Texture{texels + textures[3 * m], textures[3 * m + 1], textures[3 * m + 2]}, linear, light, shadow, light_of);
        for (int j = 0; j < 3; j++) colour[j] += std::min(1.0f, light_of[j]) * (float)group_size[g];
        int votes = 0;
        for (int h = 0; h < groups; h++) votes += class_of[group_material[h]] == class_of[m] ? group_size[h] : 0;
        if (votes > most || (votes == most && class_of[m] < winner)) most = votes, winner = class_of[m];
      }
      const size_t at = (size_t)y * width + x;
      for (int j = 0; j < 3; j++) {
        float value = (colour[j] + std::min(1.0f, background[3 * at + j]) * (float)empty) / (float)per_pixel;
        rgb[3 * at + j] = curve[(int)(std::min(1.0f, std::max(0.0f, value)) * 4095.0f + 0.5f)];
      }
      kinds[at] = (uint8_t)winner;
    }
}
}
