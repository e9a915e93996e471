// SPDX-License-Identifier: GPL-3.0-or-later
// A curve that grows for ever in bounded memory: what a chart needs to draw each pixel column's extremes.
#pragma once

#include <QList>
#include <QPointF>

#include <cstddef>
#include <vector>

namespace rankscope::views
{

/// Points are gathered into at most `capacity` buckets, each with its first, lowest, highest and last point.
/// When they are full, neighbours are merged, so that an append costs constant time on average.
class MinMaxSeries
{
public:
    explicit MinMaxSeries(std::size_t capacity = 2048);

    /// x must not go back. A y that is not finite is left out.
    void append(double x, double y);
    void clear();

    /// Whether every point appended is still there.
    [[nodiscard]] bool isExact() const { return m_perBucket == 1; }
    [[nodiscard]] bool empty() const { return m_buckets.empty(); }
    [[nodiscard]] std::size_t count() const { return m_count; } ///< points appended
    [[nodiscard]] std::size_t bucketCount() const { return m_buckets.size(); }
    [[nodiscard]] double minimum() const { return m_minimum; }
    [[nodiscard]] double maximum() const { return m_maximum; }
    [[nodiscard]] double firstX() const { return m_buckets.empty() ? 0 : m_buckets.front().first.x(); }
    [[nodiscard]] double lastX() const { return m_buckets.empty() ? 0 : m_buckets.back().last.x(); }
    [[nodiscard]] double lastY() const { return m_buckets.empty() ? 0 : m_buckets.back().last.y(); }

    /// The curve between x0 and x1 (and one point beyond each side), for a plot `columns` pixels wide: at
    /// most four points for each column.
    [[nodiscard]] QList<QPointF> points(double x0, double x1, int columns) const;
    /// The kept point nearest to x.
    [[nodiscard]] QPointF nearest(double x) const;

private:
    struct Bucket {
        QPointF first, lowest, highest, last;
        std::size_t count = 1;
        void add(const Bucket& later);
    };
    static void emitBucket(QList<QPointF>& out, const Bucket& bucket);

    std::vector<Bucket> m_buckets;
    std::size_t m_capacity;
    std::size_t m_perBucket = 1;
    std::size_t m_count = 0;
    double m_minimum = 0;
    double m_maximum = 0;
};

} // namespace rankscope::views
