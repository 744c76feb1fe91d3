/* What reading a log spends its time on, in one pass each: where needles stand, and which lines are of a known shape.

   Both functions say what survey.py and shapes.py say with numpy, which are used where this could not be compiled; a
   property test holds them against each other. Places are bytes counted from the beginning of the buffer. Whatever the
   buffer holds, nothing outside it is read. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are compared as they lie in memory, the first byte lowest"
#endif

enum { NEEDLES = 2, VECTOR = 16, VECTORS = 4, STRIDE = VECTOR * VECTORS, WORD = 8, CACHE_LINE = 64 };
enum { COUNT_DIGITS = 16, MINUTE_CHARS = 16, AHEAD = 8 };

/* As wide as every x86-64 and ARM has them: wider ones are taken apart byte by byte where the processor has none. */
typedef uint8_t Vector __attribute__((vector_size(16)));

static const int64_t NO_TIME = INT64_MIN;
static const uint64_t LARGEST_AT_ONCE = 1000000000000000;
static const int64_t SECOND_US = 1000000;

static inline uint64_t word_at(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, WORD);
    return word;
}

/* ---- places, in an array that grows ---- */

typedef struct {
    int64_t *at;
    Py_ssize_t count, room;
} Places;

static int append(Places *places, int64_t place)
{
    if (places->count == places->room) {
        Py_ssize_t room = places->room ? 2 * places->room : 256;
        int64_t *at = PyMem_Realloc(places->at, (size_t)room * sizeof *at);
        if (at == NULL) return -1;
        places->at = at;
        places->room = room;
    }
    places->at[places->count++] = place;
    return 0;
}

static PyObject *bytes_of(const Places *places)
{
    return PyBytes_FromStringAndSize((const char *)places->at, places->count * (Py_ssize_t)sizeof *places->at);
}

/* ---- survey ---- */

typedef struct {
    const uint8_t *text;
    Py_ssize_t size;
    Py_ssize_t twin; /* where in the text a letter stands twice in a row, which is rare in a log */
    Places places;
} Needle;

static inline Vector all_of(uint8_t byte)
{
    return (Vector){0} + byte;
}

static inline Vector vector_at(const uint8_t *bytes)
{
    Vector vector;
    memcpy(&vector, bytes, VECTOR);
    return vector;
}

static inline int is_any(Vector bytes)
{
    uint64_t halves[2];
    memcpy(halves, &bytes, VECTOR);
    return (halves[0] | halves[1]) != 0;
}

static inline int64_t sum_of(Vector bytes)
{
    int64_t sum = 0;
    for (int place = 0; place < VECTOR; place++) sum += bytes[place];
    return sum;
}

/* Where one of the letters stands and once more behind it: a byte of ones each. */
static inline Vector twins(const uint8_t *bytes, const Vector *letter)
{
    Vector here = vector_at(bytes);
    return (Vector)((here == vector_at(bytes + 1)) & ((here == letter[0]) | (here == letter[1])));
}

/* Where they stand in a stride, as bits. */
static inline uint64_t twin_bits(const uint8_t *bytes, const Vector *letter)
{
    Vector met[VECTORS];
    uint64_t bits = 0;
    for (int part = 0; part < VECTORS; part++) met[part] = twins(bytes + part * VECTOR, letter);
    for (int place = 0; place < STRIDE; place += WORD) {
        uint64_t ones = word_at((const uint8_t *)met + place) & 0x0101010101010101;
        bits |= ones * 0x0102040810204080 >> 56 << place;
    }
    return bits;
}

/* Note the needles whose twins stand at the bits of text[stride:]. -1 when memory is short. */
static int note(Needle *needles, uint64_t bits, const uint8_t *text, Py_ssize_t begin, Py_ssize_t end,
                Py_ssize_t stride)
{
    for (; bits; bits &= bits - 1) {
        Py_ssize_t twin = stride + __builtin_ctzll(bits);
        Needle *needle = &needles[text[twin] != needles[0].text[needles[0].twin]];
        Py_ssize_t place = twin - needle->twin;
        if (place >= begin && place <= end - needle->size
            && !memcmp(text + place, needle->text, (size_t)needle->size) && append(&needle->places, place))
            return -1;
    }
    return 0;
}

/* Lines are counted and zero bytes met in text[begin:end]; the needles' places are noted. -1 when memory is short. */
static int look(const uint8_t *text, Py_ssize_t begin, Py_ssize_t end, Needle *needles, int64_t *lines, int *has_zero)
{
    Vector letter[NEEDLES], feed = all_of('\n'), feeds = {0}, zeros = {0};
    for (int which = 0; which < NEEDLES; which++) letter[which] = all_of(needles[which].text[needles[which].twin]);

    const int most = UINT8_MAX / VECTORS;
    uint8_t rest[STRIDE + 1];
    int strides = 0;
    for (Py_ssize_t stride = begin; stride < end; stride += STRIDE) {
        const uint8_t *bytes = text + stride;
        if (end - stride < (Py_ssize_t)sizeof rest) {
            memset(rest, 1, sizeof rest);
            bytes = memcpy(rest, bytes, (size_t)(end - stride));
        }
        Vector met = {0};
        for (const uint8_t *part = bytes; part < bytes + STRIDE; part += VECTOR) {
            feeds -= (Vector)(vector_at(part) == feed);
            zeros |= (Vector)(vector_at(part) == 0);
            met |= twins(part, letter);
        }
        if (is_any(met) && note(needles, twin_bits(bytes, letter), text, begin, end, stride)) return -1;
        if (++strides == most) {
            *lines += sum_of(feeds);
            feeds = (Vector){0};
            strides = 0;
        }
    }
    *lines += sum_of(feeds);
    *has_zero = is_any(zeros);
    return 0;
}

/* -1 where no letter stands twice in a row. */
static Py_ssize_t twin_of(const uint8_t *text, Py_ssize_t size)
{
    for (Py_ssize_t place = 0; place + 1 < size; place++)
        if (text[place] == text[place + 1]) return place;
    return -1;
}

PyDoc_STRVAR(survey_doc,
             "survey(buffer, begin, end, needle, other) -> (lines, has_zero, places, places)\n\n"
             "Line feeds and zero bytes in buffer[begin:end] and where the two needles stand, as int64 in bytes.\n"
             "Each needle has a letter of its own twice in a row, which is what is looked for. ValueError for other\n"
             "needles and for places outside the buffer.");

static PyObject *survey(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer buffer, texts[NEEDLES];
    Py_ssize_t begin, end;
    if (!PyArg_ParseTuple(args, "y*nny*y*", &buffer, &begin, &end, &texts[0], &texts[1])) return NULL;

    PyObject *answer = NULL, *found[NEEDLES] = {NULL};
    Needle needles[NEEDLES] = {{0}};
    int64_t lines = 0;
    int has_zero = 0, is_right = 0 <= begin && begin <= end && end <= buffer.len;
    for (int which = 0; which < NEEDLES; which++) {
        needles[which].text = texts[which].buf;
        needles[which].size = texts[which].len;
        needles[which].twin = twin_of(texts[which].buf, texts[which].len);
        is_right = is_right && needles[which].twin >= 0;
    }
    is_right = is_right && needles[0].text[needles[0].twin] != needles[1].text[needles[1].twin];
    if (!is_right) {
        PyErr_SetString(PyExc_ValueError, "survey: places outside the buffer, or needles without twins of their own");
    } else if (look(buffer.buf, begin, end, needles, &lines, &has_zero)) {
        PyErr_NoMemory();
    } else if ((found[0] = bytes_of(&needles[0].places)) && (found[1] = bytes_of(&needles[1].places))) {
        answer = Py_BuildValue("LOOO", (long long)lines, has_zero ? Py_True : Py_False, found[0], found[1]);
    }
    for (int which = 0; which < NEEDLES; which++) {
        Py_XDECREF(found[which]);
        PyMem_Free(needles[which].places.at);
        PyBuffer_Release(&texts[which]);
    }
    PyBuffer_Release(&buffer);
    return answer;
}

/* ---- match ---- */

/* Words to expect in a window, what lifts a wrong byte to 0x80, and the flags that show it: see shapes.Pattern. */
typedef struct {
    const uint8_t *expect, *lift, *flags;
    Py_ssize_t width;
} Pattern;

enum { CLOCK_NONE, CLOCK_WALL, CLOCK_UPTIME };

typedef struct {
    Pattern head, text, after;
    Py_ssize_t gap, literal;
    int has_count, clock;
    Py_ssize_t stamp;
    int whole, fraction;
    int64_t zone_us;
    PyObject *minute_us;
} Shape;

typedef struct {
    uint8_t text[MINUTE_CHARS];
    int64_t at_us;
    int is_known;
} Minute;

static Pattern pattern_of(const Py_buffer *words)
{
    Py_ssize_t width = words->len / (3 * WORD) * WORD;
    const uint8_t *first = words->buf;
    return (Pattern){first, first + width, first + 2 * width, width};
}

static inline int fits(const uint8_t *text, Py_ssize_t size, Py_ssize_t start, Pattern pattern)
{
    if (start < 0 || start > size - pattern.width) return 0;
    uint64_t wrong = 0;
    for (Py_ssize_t place = 0; place < pattern.width; place += WORD) {
        uint64_t word = word_at(text + start + place) ^ word_at(pattern.expect + place);
        wrong |= ((word + word_at(pattern.lift + place)) | word) & word_at(pattern.flags + place);
    }
    return wrong == 0;
}

static inline int64_t number(const uint8_t *digits, int count)
{
    int64_t value = 0;
    for (int place = 0; place < count; place++) value = 10 * value + (digits[place] - '0');
    return value;
}

/* How many digits stand at the place, 16 at most, and their value; 0 for a count that is too large to be one. */
static inline int count_at(const uint8_t *text, Py_ssize_t size, Py_ssize_t place, int64_t *lost)
{
    int digits = 0;
    uint64_t value = 0;
    while (digits < COUNT_DIGITS && place + digits < size && (uint8_t)(text[place + digits] - '0') <= 9)
        value = 10 * value + (uint64_t)(text[place + digits++] - '0');
    *lost = (int64_t)value;
    return value > LARGEST_AT_ONCE ? 0 : digits;
}

/* The start of the minute, asked once per change: neighbours mostly share it. -1 for an exception. */
static int minute_at(const Shape *shape, const uint8_t *text, Minute *minute)
{
    if (minute->is_known && !memcmp(text, minute->text, MINUTE_CHARS)) return 0;
    PyObject *answer = PyObject_CallFunction(shape->minute_us, "y#", (const char *)text, (Py_ssize_t)MINUTE_CHARS);
    if (answer == NULL) return -1;
    minute->at_us = PyLong_AsLongLong(answer);
    Py_DECREF(answer);
    if (PyErr_Occurred()) return -1;
    memcpy(minute->text, text, MINUTE_CHARS);
    minute->is_known = 1;
    return 0;
}

/* Microseconds of the stamp whose digits are known to be such; NO_TIME for one that does not exist. */
static int time_at(const Shape *shape, const uint8_t *stamp, Minute *minute, int64_t *at_us)
{
    static const int64_t scale[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    *at_us = NO_TIME;
    if (shape->clock == CLOCK_UPTIME) {
        *at_us = number(stamp, shape->whole) * SECOND_US + number(stamp + shape->whole + 1, 6);
    } else if (shape->clock == CLOCK_WALL) {
        int64_t second = number(stamp + 17, 2);
        int kept = shape->fraction < 6 ? shape->fraction : 6;
        if (minute_at(shape, stamp, minute)) return -1;
        if (second <= 60 && minute->at_us != NO_TIME)
            *at_us = minute->at_us + second * SECOND_US - shape->zone_us + number(stamp + 20, kept) * scale[kept];
    }
    return 0;
}

/* Whether the line around a hit is of the shape: 1 with its count and time, 0 if not, -1 for an exception. */
static int row_at(const Shape *shape, const uint8_t *text, Py_ssize_t size, int64_t hit, Minute *minute, int64_t *lost,
                  int64_t *at_us)
{
    if (hit < 0 || hit > size - shape->gap) return 0;
    Py_ssize_t place = (Py_ssize_t)hit + shape->gap, end = place;
    if (shape->literal > place) return 0;
    Py_ssize_t head = place - shape->literal - shape->head.width;
    *lost = 0;
    if (shape->has_count) {
        int digits = count_at(text, size, place, lost);
        if (digits == 0) return 0;
        end += digits;
    }
    if (!fits(text, size, place - shape->text.width, shape->text) || !fits(text, size, head, shape->head)
        || !fits(text, size, end, shape->after))
        return 0;
    if (time_at(shape, text + head + shape->stamp, minute, at_us)) return -1;
    return shape->clock == CLOCK_NONE || *at_us != NO_TIME;
}

/* Lines far apart are not in the processor's cache any more: a later one is asked for while this one is read. */
static inline void prefetch(const Shape *shape, const uint8_t *text, Py_ssize_t size, int64_t hit)
{
    if (hit < shape->literal || shape->gap > size || hit > size - shape->gap - shape->after.width) return;
    int64_t first = hit - shape->literal - shape->head.width, last = hit + shape->gap + shape->after.width;
    if (first < 0) return;
    for (int64_t place = first; place < last; place += CACHE_LINE) __builtin_prefetch(text + place);
}

static inline int64_t hit_at(const Py_buffer *hits, Py_ssize_t place)
{
    return (int64_t)word_at((const uint8_t *)hits->buf + place * WORD);
}

/* The stamp's last byte is inside the head's window, or there is no clock. */
static int stamp_fits(const Shape *shape)
{
    int length = shape->clock == CLOCK_UPTIME ? shape->whole + 7 : shape->clock == CLOCK_WALL ? 19 : 0;
    if (shape->clock == CLOCK_WALL && shape->fraction > 0) length += 1 + (shape->fraction < 6 ? shape->fraction : 6);
    return shape->stamp >= 0 && shape->whole >= 0 && shape->whole <= WORD && shape->fraction >= 0
        && shape->stamp + length <= shape->head.width;
}

PyDoc_STRVAR(match_doc,
             "match(buffer, hits, head, text, after, gap, literal, has_count, clock, stamp, whole, fraction, zone_us,\n"
             "      minute_us) -> (good, at_us, lost)\n\n"
             "Which of the hits (int64) stand in a line of a shape, as bytes of 0 and 1, and the time and count of\n"
             "each that does, as int64 in bytes. Patterns are words to expect, lifts and flags one after the other;\n"
             "`clock` is 0 for none, 1 for wall, 2 for uptime; `minute_us` tells the start of a minute from 16 bytes.");

static PyObject *match(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer buffer, hits, patterns[3];
    Shape shape;
    long long zone_us;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*nnpiniiLO", &buffer, &hits, &patterns[0], &patterns[1], &patterns[2],
                          &shape.gap, &shape.literal, &shape.has_count, &shape.clock, &shape.stamp, &shape.whole,
                          &shape.fraction, &zone_us, &shape.minute_us))
        return NULL;
    shape.head = pattern_of(&patterns[0]);
    shape.text = pattern_of(&patterns[1]);
    shape.after = pattern_of(&patterns[2]);
    shape.zone_us = zone_us;

    Py_ssize_t count = hits.len / (Py_ssize_t)sizeof(int64_t), rows = 0;
    Minute minute = {{0}, 0, 0};
    PyObject *answer = NULL, *good = PyBytes_FromStringAndSize(NULL, count);
    int64_t *at_us = PyMem_Malloc((size_t)(count + 1) * sizeof *at_us);
    int64_t *lost = PyMem_Malloc((size_t)(count + 1) * sizeof *lost);
    char *flags = good ? PyBytes_AsString(good) : NULL;
    int failed = 0;
    if (flags == NULL || at_us == NULL || lost == NULL) {
        PyErr_NoMemory();
        failed = 1;
    } else if (!stamp_fits(&shape) || shape.gap < 0 || shape.literal < 0) {
        PyErr_SetString(PyExc_ValueError, "match: the clock stands outside the head");
        failed = 1;
    }
    for (Py_ssize_t place = 0; place < count && !failed; place++) {
        if (place + AHEAD < count) prefetch(&shape, buffer.buf, buffer.len, hit_at(&hits, place + AHEAD));
        int is_good =
            row_at(&shape, buffer.buf, buffer.len, hit_at(&hits, place), &minute, lost + rows, at_us + rows);
        failed = is_good < 0;
        flags[place] = (char)(is_good > 0);
        rows += is_good > 0;
    }
    if (!failed) {
        Py_ssize_t size = rows * (Py_ssize_t)sizeof(int64_t);
        answer = Py_BuildValue("Oy#y#", good, (const char *)at_us, size, (const char *)lost, size);
    }
    Py_XDECREF(good);
    PyMem_Free(at_us);
    PyMem_Free(lost);
    for (int which = 0; which < 3; which++) PyBuffer_Release(&patterns[which]);
    PyBuffer_Release(&hits);
    PyBuffer_Release(&buffer);
    return answer;
}

/* ---- the module ---- */

static PyMethodDef functions[] = {
    {"survey", survey, METH_VARARGS, survey_doc},
    {"match", match, METH_VARARGS, match_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_kernel", "The compiled inner loops of reading a log.", 0, functions,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModule_Create(&module);
}
