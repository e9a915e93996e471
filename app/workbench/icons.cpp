// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/icons.h"

#include <QApplication>
#include <QFile>
#include <QPainter>
#include <QPalette>
#include <QPixmap>
#include <QSvgRenderer>

namespace rankscope::workbench
{

namespace
{

QPixmap drawn(QByteArray svg, const QColor& colour, int size)
{
    svg.replace("currentColor", colour.name().toLatin1());
    QSvgRenderer renderer(svg);
    QPixmap pixmap(size, size);
    pixmap.fill(Qt::transparent);
    QPainter painter(&pixmap);
    renderer.render(&painter);
    return pixmap;
}

} // namespace

QIcon icon(const QString& name)
{
    QFile file(QStringLiteral(":/icons/%1.svg").arg(name));
    if (!file.open(QIODevice::ReadOnly))
        return {};
    const QByteArray svg = file.readAll();
    const QPalette palette = QApplication::palette();
    QIcon result;
    for (const int size : {16, 24, 32, 48}) {
        result.addPixmap(drawn(svg, palette.color(QPalette::Active, QPalette::WindowText), size),
                         QIcon::Normal);
        result.addPixmap(drawn(svg, palette.color(QPalette::Disabled, QPalette::WindowText), size),
                         QIcon::Disabled);
        result.addPixmap(drawn(svg, palette.color(QPalette::Highlight), size), QIcon::Normal, QIcon::On);
    }
    return result;
}

QIcon programIcon()
{
    QFile file(QStringLiteral(":/icons/rankscope.svg"));
    if (!file.open(QIODevice::ReadOnly))
        return {};
    const QByteArray svg = file.readAll();
    QIcon result;
    for (const int size : {16, 24, 32, 48, 64, 128, 256})
        result.addPixmap(drawn(svg, Qt::black, size));
    return result;
}

} // namespace rankscope::workbench
