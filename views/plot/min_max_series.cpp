// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/plot/min_max_series.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace rankscope::views
{

MinMaxSeries::MinMaxSeries(std::size_t capacity) : m_capacity(std::max<std::size_t>(capacity, 4)) {}

void MinMaxSeries::Bucket::add(const Bucket& later)
{
    if (later.lowest.y() < lowest.y())
        lowest = later.lowest;
    if (later.highest.y() > highest.y())
        highest = later.highest;
    last = later.last;
    count += later.count;
}

void MinMaxSeries::append(double x, double y)
{
    if (!std::isfinite(x) || !std::isfinite(y))
        return;
    m_minimum = m_count == 0 ? y : std::min(m_minimum, y);
    m_maximum = m_count == 0 ? y : std::max(m_maximum, y);
    ++m_count;
    const QPointF point(x, y);
    const Bucket single{point, point, point, point, 1};
    if (!m_buckets.empty() && m_buckets.back().count < m_perBucket) {
        m_buckets.back().add(single);
        return;
    }
    if (m_buckets.size() == m_capacity) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < m_buckets.size(); i += 2, ++kept) {
            Bucket merged = m_buckets[i];
            if (i + 1 < m_buckets.size())
                merged.add(m_buckets[i + 1]);
            m_buckets[kept] = merged;
        }
        m_buckets.resize(kept);
        m_perBucket *= 2;
    }
    m_buckets.push_back(single);
}

void MinMaxSeries::clear()
{
    m_buckets.clear();
    m_perBucket = 1;
    m_count = 0;
    m_minimum = m_maximum = 0;
}

void MinMaxSeries::emitBucket(QList<QPointF>& out, const Bucket& bucket)
{
    std::array<QPointF, 4> points = {bucket.first, bucket.lowest, bucket.highest, bucket.last};
    if (points[1].x() > points[2].x())
        std::swap(points[1], points[2]);
    for (const QPointF& point : points)
        if (out.isEmpty() || out.back() != point)
            out.append(point);
}

QList<QPointF> MinMaxSeries::points(double x0, double x1, int columns) const
{
    QList<QPointF> out;
    if (m_buckets.empty())
        return out;
    auto begin = std::lower_bound(m_buckets.begin(), m_buckets.end(), x0,
                                  [](const Bucket& bucket, double x) { return bucket.last.x() < x; });
    auto end = std::upper_bound(m_buckets.begin(), m_buckets.end(), x1,
                                [](double x, const Bucket& bucket) { return x < bucket.first.x(); });
    if (begin != m_buckets.begin())
        --begin;
    if (end != m_buckets.end())
        ++end;
    const double width = (x1 - x0) / std::max(1, columns);
    if (begin >= end)
        return out;
    if (width <= 0 || end - begin <= columns) {
        for (auto it = begin; it != end; ++it)
            emitBucket(out, *it);
        return out;
    }
    Bucket column = *begin;
    auto index = [&](const Bucket& bucket) { return std::floor((bucket.first.x() - x0) / width); };
    double current = index(column);
    for (auto it = begin + 1; it != end; ++it) {
        if (index(*it) == current) {
            column.add(*it);
        } else {
            emitBucket(out, column);
            column = *it;
            current = index(column);
        }
    }
    emitBucket(out, column);
    return out;
}

QPointF MinMaxSeries::nearest(double x) const
{
    if (m_buckets.empty())
        return {std::nan(""), std::nan("")};
    auto it = std::lower_bound(m_buckets.begin(), m_buckets.end(), x,
                               [](const Bucket& bucket, double at) { return bucket.last.x() < at; });
    QPointF best = it == m_buckets.end() ? m_buckets.back().last : it->first;
    const auto consider = [&](const QPointF& point) {
        if (std::abs(point.x() - x) < std::abs(best.x() - x))
            best = point;
    };
    if (it != m_buckets.end())
        for (const QPointF& point : {it->lowest, it->highest, it->last})
            consider(point);
    if (it != m_buckets.begin())
        consider((it - 1)->last);
    return best;
}

} // namespace rankscope::views
